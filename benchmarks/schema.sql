-- What the peers keep. Ours keeps far more: its own migrations make that.
CREATE TABLE chats (
    id bigint PRIMARY KEY,
    members integer[] NOT NULL,
    last_seq integer NOT NULL DEFAULT 0
);

CREATE TABLE messages (
    chat_id bigint NOT NULL REFERENCES chats,
    seq integer NOT NULL,
    sender_id integer NOT NULL,
    client_ref uuid NOT NULL,
    text text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chat_id, seq),
    UNIQUE (sender_id, client_ref)
);
