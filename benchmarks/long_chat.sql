-- A chat of {length} messages, whatever it had before.
INSERT INTO messages (chat_id, seq, sender_id, client_ref, request_hash, text, created_at)
SELECT {chat_id}, seq, {sender_id}, gen_random_uuid(), '', 'message ' || seq, now()
FROM generate_series(1, {length}) AS seq
ON CONFLICT DO NOTHING;

UPDATE chats
SET last_seq = {length}, psychologist_read_seq = {length}, patient_read_seq = {length}
WHERE id = {chat_id};
ANALYZE messages;
