-- State of 0.3.0 for a database made by 0.2.0. Functions of our own whose arguments or results have changed are dropped here
-- and made again by what follows; nobody is granted them.
DROP FUNCTION IF EXISTS chat.expand_pushes, chat.is_same_message, chat.page_size, chat.repeat_message, chat.reply_json;

CREATE INDEX members_newcomers ON chat.members (chat_id, visible_from) WHERE visible_from > 0;
