import type { Migration } from '@varve/core'
import { recordMigrations } from './records/migrations.ts'

const ownMigrations: readonly Migration[] = [
  {
    id: 'storage/0001-companies',
    sql: `
CREATE TABLE companies (
  symbol text COLLATE "C" PRIMARY KEY,
  name text,
  exchange text,
  type text,
  is_active boolean NOT NULL,
  layer0_qualified boolean NOT NULL DEFAULT false,
  layer1_qualified boolean NOT NULL DEFAULT false,
  layer2_qualified boolean NOT NULL DEFAULT false,
  layer3_qualified boolean NOT NULL DEFAULT false,
  liquidity_score numeric(12,4),
  market_cap numeric(24,6),
  listed_on date,
  delisted_on date,
  layer_since date,
  evaluated_on date,
  reasons jsonb,
  layer0_updated date,
  layer1_updated date,
  layer2_updated date,
  layer3_updated date
);
CREATE INDEX companies_layer ON companies (layer3_qualified, layer2_qualified, layer1_qualified, liquidity_score DESC NULLS LAST);
COMMENT ON TABLE companies IS 'the only record of which layer a symbol is in';
COMMENT ON COLUMN companies.layer1_updated IS 'session whose evaluation last changed the flag';
`,
  },
  {
    id: 'storage/0002-bars',
    sql: `
CREATE TABLE sources (
  id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  provider text COLLATE "C" NOT NULL,
  feed text COLLATE "C" NOT NULL,
  adjustment text COLLATE "C" NOT NULL,
  UNIQUE (provider, feed, adjustment)
);
CREATE TABLE series (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  symbol text COLLATE "C" NOT NULL,
  interval text COLLATE "C" NOT NULL,
  source_id smallint NOT NULL REFERENCES sources,
  hot_from timestamptz NOT NULL,
  cold_from timestamptz,
  hot_cleaned_to timestamptz NOT NULL,
  revision bigint NOT NULL DEFAULT 0,
  UNIQUE (symbol, interval, source_id)
) WITH (fillfactor = 70);
CREATE INDEX series_interval ON series (interval, source_id);
COMMENT ON COLUMN series.hot_from IS 'bars from here on are answered by Postgres; never above the watermark';
COMMENT ON COLUMN series.cold_from IS 'bars before this have expired and are hidden';
COMMENT ON COLUMN series.hot_cleaned_to IS 'bars before this have been deleted from Postgres';
COMMENT ON COLUMN series.revision IS 'grows with every change of the series; a load staged at another revision is refused';
CREATE TABLE bars (
  series_id int NOT NULL,
  ts timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  open numeric(18,6) NOT NULL,
  high numeric(18,6) NOT NULL,
  low numeric(18,6) NOT NULL,
  close numeric(18,6) NOT NULL,
  volume numeric(18,6) NOT NULL,
  PRIMARY KEY (series_id, ts)
) PARTITION BY RANGE (ts);
CREATE TABLE bars_intraday (LIKE bars INCLUDING ALL) PARTITION BY RANGE (ts);
COMMENT ON TABLE bars IS 'hot daily and hourly bars, a partition per month';
COMMENT ON TABLE bars_intraday IS 'hot bars of minutes, a partition per week';
COMMENT ON COLUMN bars.recorded_at IS 'since when these values were known here';
CREATE TABLE watermarks (
  interval text COLLATE "C" PRIMARY KEY,
  archived_to timestamptz NOT NULL
);
COMMENT ON TABLE watermarks IS 'every bar older than archived_to is in the lake';
CREATE TABLE bars_late (
  series_id int NOT NULL REFERENCES series,
  ts timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  open numeric(18,6) NOT NULL,
  high numeric(18,6) NOT NULL,
  low numeric(18,6) NOT NULL,
  close numeric(18,6) NOT NULL,
  volume numeric(18,6) NOT NULL,
  added boolean NOT NULL,
  PRIMARY KEY (series_id, ts)
);
COMMENT ON TABLE bars_late IS 'bars that override the lake until compaction folds them in';
COMMENT ON COLUMN bars_late.added IS 'no lake file holds this bar yet';
CREATE TABLE bar_versions (
  series_id int NOT NULL REFERENCES series,
  ts timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  open numeric(18,6) NOT NULL,
  high numeric(18,6) NOT NULL,
  low numeric(18,6) NOT NULL,
  close numeric(18,6) NOT NULL,
  volume numeric(18,6) NOT NULL,
  PRIMARY KEY (series_id, ts, recorded_at)
);
COMMENT ON TABLE bar_versions IS 'values of bars before they were restated; what was known at T is the latest recorded by then';
CREATE TABLE lake_files (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path text COLLATE "C" NOT NULL UNIQUE,
  interval text COLLATE "C" NOT NULL,
  source_id smallint NOT NULL REFERENCES sources,
  symbol_min text COLLATE "C" NOT NULL,
  symbol_max text COLLATE "C" NOT NULL,
  time_min timestamptz NOT NULL,
  time_max timestamptz NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  sha256 text NOT NULL,
  created_at timestamptz NOT NULL,
  removed_at timestamptz
);
CREATE INDEX lake_files_live ON lake_files (interval, source_id) WHERE removed_at IS NULL;
CREATE TABLE lake_file_series (
  series_id int NOT NULL REFERENCES series,
  file_id bigint NOT NULL REFERENCES lake_files ON DELETE CASCADE,
  time_min timestamptz NOT NULL,
  time_max timestamptz NOT NULL,
  rows int NOT NULL,
  PRIMARY KEY (series_id, file_id)
);
CREATE INDEX lake_file_series_file ON lake_file_series (file_id);
`,
  },
  {
    id: 'storage/0003-coverage',
    sql: `
CREATE TABLE coverage (
  symbol text COLLATE "C" NOT NULL,
  data_type text COLLATE "C" NOT NULL,
  interval text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  from_date date NOT NULL,
  to_date date NOT NULL,
  state text NOT NULL CHECK (state IN ('complete', 'partial', 'empty_confirmed')),
  rows bigint NOT NULL,
  fetched_at timestamptz NOT NULL,
  proof jsonb,
  PRIMARY KEY (symbol, data_type, interval, source, from_date),
  CHECK (from_date <= to_date)
);
COMMENT ON COLUMN coverage.interval IS 'empty for data that has none';
`,
  },
  {
    id: 'storage/0004-quarantine',
    sql: `
CREATE TABLE quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  natural_key text COLLATE "C" NOT NULL UNIQUE,
  symbol text COLLATE "C" NOT NULL,
  data_type text COLLATE "C" NOT NULL,
  interval text COLLATE "C" NOT NULL,
  ts timestamptz,
  session date,
  rule text COLLATE "C" NOT NULL,
  severity text NOT NULL CHECK (severity IN ('error', 'warning')),
  message text NOT NULL,
  origin text COLLATE "C" NOT NULL,
  raw jsonb,
  open numeric(18,6),
  high numeric(18,6),
  low numeric(18,6),
  close numeric(18,6),
  volume numeric(18,6),
  source_id smallint REFERENCES sources,
  detected_at timestamptz NOT NULL
);
CREATE INDEX quarantine_series ON quarantine (symbol, data_type, interval, session);
CREATE INDEX quarantine_rule ON quarantine (rule, severity);
`,
  },
  {
    id: 'storage/0005-gaps',
    sql: `
CREATE TABLE gaps (
  symbol text COLLATE "C" NOT NULL,
  data_type text COLLATE "C" NOT NULL,
  interval text COLLATE "C" NOT NULL,
  source_id smallint NOT NULL REFERENCES sources,
  session date NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'healed', 'empty_confirmed')),
  detected_on date NOT NULL,
  attempts int NOT NULL DEFAULT 0,
  resolved_on date,
  PRIMARY KEY (symbol, data_type, interval, source_id, session)
);
CREATE INDEX gaps_state ON gaps (state, data_type, interval);
`,
  },
]

/**
 * The schema of the store, for `applyMigrations`. Text collates by code unit everywhere, so that Postgres and
 * JavaScript sort alike.
 */
export const storageMigrations: readonly Migration[] = [...ownMigrations, ...recordMigrations]
