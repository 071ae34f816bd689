CREATE TABLE greeting (id int PRIMARY KEY, words text NOT NULL);
ALTER TABLE greeting OWNER TO app;
INSERT INTO greeting VALUES (1, 'it''s 100 % há');
