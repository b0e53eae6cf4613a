-- A role of least privilege for Pinion: it owns nothing, and can change no table. Run it by the owner of the database,
-- after `pinion migrate`; give the role a password with \password, or a certificate.
CREATE ROLE pinion LOGIN;
-- TEMPORARY: large batches travel through temporary tables.
GRANT CONNECT, TEMPORARY ON DATABASE xcoin TO pinion;
GRANT USAGE ON SCHEMA public, pinion TO pinion;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, pinion TO pinion;
-- The ids of reconciliation_log.
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO pinion;
