-- The email stage whose SMTP server a mail goes through; none for the server of the settings. Its password stays where it
-- is: what sends the mail reads it there.

ALTER TABLE ak_stages.mail ADD COLUMN IF NOT EXISTS stage uuid;
