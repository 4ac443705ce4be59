-- Twenty events of their chat that everybody has missed; both people are told of each message.
INSERT INTO event_log (user_id, namespace, seq, event, data, at)
SELECT
    heads.user_id,
    heads.namespace,
    heads.seq + n,
    'message:created',
    json_build_object(
        'chat_id', chat_id, 'seq', n, 'sender_id', heads.user_id, 'text', repeat('x', 100),
        'client_ref', gen_random_uuid(), 'attachments', '[]'::json, 'created_at', now(),
        'delivered_at', NULL, 'read_at', NULL, 'edited_at', NULL, 'deleted', false
    )::text,
    now()
FROM heads
-- One chat of each, for the psychologists of a crowd have hundreds.
JOIN (
    SELECT user_id, min(id) AS chat_id
    FROM chats, unnest(ARRAY[psychologist_id, patient_id]) AS user_id
    GROUP BY user_id
) AS members ON members.user_id = heads.user_id,
generate_series(1, 20) AS n
WHERE namespace = '/chat';

UPDATE heads SET seq = seq + 20
WHERE namespace = '/chat' AND user_id IN (
    SELECT unnest(ARRAY[psychologist_id, patient_id]) FROM chats
);
ANALYZE event_log;
