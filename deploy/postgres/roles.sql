-- The roles of the four database users, and the database. Run by a superuser, as often as wanted:
--   psql -v ON_ERROR_STOP=1 -v database=dragoman -d postgres -f roles.sql
-- They have no password and may not log in until they get one: `ALTER ROLE … LOGIN PASSWORD …`, or
-- deploy/postgres/logins.sh. What the services' roles may write is granted by `dragoman migrate`.
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY[
    'dragoman_migrate', 'dragoman_registry', 'dragoman_chat_worker', 'dragoman_discovery_worker'
]) AS wanted(name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('CREATE DATABASE %I OWNER dragoman_migrate', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

-- Nobody else of this server gets in.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database"
    TO dragoman_registry, dragoman_chat_worker, dragoman_discovery_worker;
