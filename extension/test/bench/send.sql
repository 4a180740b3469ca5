-- pgbench: a client sends to its own chat of :members members. -D members=2 -D known=0
\if :known = 0
SELECT chat_id, sender_id FROM bench.chats WHERE members = :members AND client = :client_id \gset
\set known 1
\endif
SELECT id FROM chat.send_message(:sender_id, :chat_id, 'a message of the usual length, such as people write to each other while they are at work');
