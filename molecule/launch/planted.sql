-- What should not be in a database, one of each kind; in a schema of its own, so that it can be taken out again.
CREATE SCHEMA planted;
GRANT CREATE ON SCHEMA planted TO PUBLIC;
CREATE TABLE planted.parent (id int PRIMARY KEY, twice int);
CREATE TABLE planted.child (parent int REFERENCES planted.parent) WITH (autovacuum_enabled = off);
INSERT INTO planted.parent VALUES (1, 1), (2, 1);
CREATE SEQUENCE planted.nearly AS smallint START 30000;
SELECT nextval('planted.nearly');
CREATE FUNCTION planted.lent() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION planted.guarded() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';
CREATE POLICY idle ON planted.parent USING (true);
-- Fails, since the values are there twice, and leaves an index that nobody can use.
CREATE UNIQUE INDEX CONCURRENTLY broken ON planted.parent (twice);
