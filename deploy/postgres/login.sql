-- One login of one role; ROLE, LOGIN and PASSWORD come from the environment. A role has a login of
-- its own name and another, `…_b`: a password is changed by changing between them, so that the
-- processes that still have the old one go on.
\getenv role ROLE
\getenv login LOGIN
\getenv password PASSWORD
SELECT format('CREATE ROLE %I IN ROLE %I', :'login', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'login') \gexec
SET password_encryption = 'scram-sha-256';
ALTER ROLE :"login" LOGIN PASSWORD :'password';
-- What `dragoman_migrate_b` makes belongs to `dragoman_migrate`.
ALTER ROLE :"login" SET role TO :"role";
SELECT format('ALTER ROLE %I NOLOGIN PASSWORD NULL', rolname)
FROM pg_roles
WHERE :'retire' = 'retire' AND rolname IN (:'role', :'role' || '_b') AND rolname <> :'login' \gexec
