CREATE TABLE chat.budgets (
	subject text PRIMARY KEY,
	spent integer NOT NULL,
	window_ends_at timestamptz NOT NULL
);
CREATE INDEX budgets_window_ends_at ON chat.budgets (window_ends_at);
COMMENT ON TABLE chat.budgets IS 'How often somebody has done today what has a limit a day (chat.spend): sign_ups:NETWORK, approaches:USER, approaches:USER:STRANGER OR CHAT. A day begins with the first time. Never dumped.';
