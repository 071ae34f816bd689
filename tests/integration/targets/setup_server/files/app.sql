CREATE SCHEMA "we ""ird ü" AUTHORIZATION app;
CREATE TABLE "we ""ird ü"."select from" (
    n int PRIMARY KEY,
    "a column ""ÄÖ"" 100 %" text NOT NULL,
    "group by" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX "order by; --" ON "we ""ird ü"."select from" ("a column ""ÄÖ"" 100 %");
INSERT INTO "we ""ird ü"."select from" SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, 1000) n;
CREATE TABLE "we ""ird ü"."leer 'n' \empty" ();
