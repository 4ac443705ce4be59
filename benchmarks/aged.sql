-- {each} messages more in every chat, as if written over months: both people were told of each, and
-- after every fourth the other one had read what there was. {each} is a multiple of four.
SET session_replication_role = replica;
SET synchronous_commit = off;

INSERT INTO messages (chat_id, seq, sender_id, client_ref, request_hash, text, created_at)
SELECT
    id,
    last_seq + n,
    CASE n % 2 WHEN 0 THEN psychologist_id ELSE patient_id END,
    gen_random_uuid(),
    repeat(md5(n::text), 2),
    repeat('x', 100),
    now() - ({each} - n) * interval '10 seconds'
FROM chats, generate_series(1, {each}) AS n
ORDER BY n, id;

INSERT INTO receipts (chat_id, user_id, kind, seq, at)
SELECT
    id,
    CASE n % 8 WHEN 0 THEN patient_id ELSE psychologist_id END,
    kind,
    last_seq + n,
    now() - ({each} - n) * interval '10 seconds'
FROM chats, generate_series(4, {each}, 4) AS n, unnest(ARRAY['delivered', 'read']) AS kind
ORDER BY n, id, kind;

-- Of six entries four are messages, then come the two markers.
INSERT INTO event_log (user_id, namespace, seq, event, data, at)
SELECT
    heads.user_id,
    heads.namespace,
    heads.seq + n,
    CASE (n - 1) % 6
        WHEN 4 THEN 'message:delivered' WHEN 5 THEN 'message:read' ELSE 'message:created'
    END,
    CASE WHEN (n - 1) % 6 < 4
        THEN json_build_object(
            'chat_id', chats.id, 'seq', n, 'sender_id', heads.user_id, 'text', repeat('x', 100),
            'client_ref', gen_random_uuid(), 'attachments', '[]'::json, 'created_at', now(),
            'delivered_at', NULL, 'read_at', NULL, 'edited_at', NULL, 'deleted', false
        )
        ELSE json_build_object(
            'chat_id', chats.id, 'user_id', heads.user_id, 'seq', n, 'at', now(), 'unread', 0
        )
    END::text,
    now() - ({each} * 3 / 2 - n) * interval '6 seconds'
FROM heads
JOIN chats ON heads.user_id IN (psychologist_id, patient_id),
generate_series(1, {each} * 3 / 2) AS n
WHERE namespace = '/chat'
ORDER BY n, heads.user_id;

UPDATE heads SET seq = seq + {each} * 3 / 2 WHERE namespace = '/chat';
UPDATE chats SET
    last_seq = last_seq + {each},
    last_at = now(),
    psychologist_read_seq = last_seq + {each},
    psychologist_delivered_seq = last_seq + {each},
    patient_read_seq = last_seq + {each},
    patient_delivered_seq = last_seq + {each};
