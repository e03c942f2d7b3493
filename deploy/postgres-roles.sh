#!/bin/sh
# Run once by the PostgreSQL image on an empty data folder: the three roles and the database that the owner owns.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
    -v owner="$INVITREE_OWNER_PASSWORD" -v app="$INVITREE_APP_PASSWORD" -v system="$INVITREE_SYSTEM_PASSWORD" <<'SQL'
CREATE ROLE invitree_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'owner';
CREATE ROLE invitree_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'app';
CREATE ROLE invitree_system LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD :'system';
CREATE DATABASE invitree OWNER invitree_owner;
-- The superuser is needed from inside the container only, where no password is asked.
ALTER ROLE CURRENT_USER PASSWORD NULL;
SQL
