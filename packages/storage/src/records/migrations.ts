import type { Migration } from '@varve/core'

/** The tables of records; a part of `storageMigrations`. Column for column what `DATASETS` says. */
export const recordMigrations: readonly Migration[] = [
  {
    id: 'storage/0100-records',
    sql: `
CREATE TABLE records_trades (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  price numeric(18,6),
  size numeric(18,6),
  sequence bigint,
  exchange text COLLATE "C",
  conditions text[] COLLATE "C",
  suspicious boolean,
  trade_id text COLLATE "C",
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_quotes (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  sequence bigint,
  bid_price numeric(18,6),
  bid_size numeric(18,6),
  ask_price numeric(18,6),
  ask_size numeric(18,6),
  bid_exchange text COLLATE "C",
  ask_exchange text COLLATE "C",
  conditions text[] COLLATE "C",
  suspicious boolean,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_news (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  article_id text COLLATE "C",
  title text COLLATE "C",
  summary text COLLATE "C",
  body text COLLATE "C",
  url text COLLATE "C",
  author text COLLATE "C",
  publisher text COLLATE "C",
  language text COLLATE "C",
  symbols text[] COLLATE "C",
  topics text[] COLLATE "C",
  updated_at timestamptz,
  extra json,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_corporate_actions (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  kind text COLLATE "C",
  ex_date date,
  action_id text COLLATE "C",
  record_date date,
  pay_date date,
  declared_date date,
  split_from numeric(18,6),
  split_to numeric(18,6),
  cash_amount numeric(38,18),
  currency text COLLATE "C",
  new_symbol text COLLATE "C",
  related_symbol text COLLATE "C",
  note text COLLATE "C",
  extra json,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_sentiment (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  channel text COLLATE "C",
  post_id text COLLATE "C",
  text text COLLATE "C",
  author text COLLATE "C",
  url text COLLATE "C",
  score numeric(18,6),
  confidence numeric(18,6),
  mentions bigint,
  positive bigint,
  negative bigint,
  neutral bigint,
  extra json,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_options (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  contract text COLLATE "C",
  expiry date,
  strike numeric(18,6),
  type text COLLATE "C",
  bid numeric(18,6),
  ask numeric(18,6),
  last numeric(18,6),
  volume numeric(18,6),
  open_interest bigint,
  implied_volatility numeric(18,6),
  delta numeric(18,6),
  gamma numeric(18,6),
  theta numeric(18,6),
  vega numeric(18,6),
  underlying_price numeric(18,6),
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_insider_trades (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  filing_id text COLLATE "C",
  insider text COLLATE "C",
  relation text COLLATE "C",
  transaction_code text COLLATE "C",
  transaction_date date,
  shares numeric(18,6),
  price numeric(18,6),
  value numeric(38,18),
  shares_after numeric(18,6),
  line bigint,
  url text COLLATE "C",
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_filings (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  doc_type text COLLATE "C",
  end_date date,
  period_focus text COLLATE "C",
  fiscal_year bigint,
  amend boolean,
  revenues numeric(38,18),
  op_income numeric(38,18),
  net_income numeric(38,18),
  eps_basic numeric(38,18),
  eps_diluted numeric(38,18),
  dividend numeric(38,18),
  assets numeric(38,18),
  cur_assets numeric(38,18),
  cur_liab numeric(38,18),
  cash numeric(38,18),
  equity numeric(38,18),
  cash_flow_op numeric(38,18),
  cash_flow_inv numeric(38,18),
  cash_flow_fin numeric(38,18),
  filing_id text COLLATE "C",
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_ratings (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  firm text COLLATE "C",
  analyst text COLLATE "C",
  action text COLLATE "C",
  rating text COLLATE "C",
  rating_before text COLLATE "C",
  target_price numeric(18,6),
  target_before numeric(18,6),
  currency text COLLATE "C",
  extra json,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_features (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  name text COLLATE "C",
  version text COLLATE "C",
  value numeric(38,18),
  extra json,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE records_scan_results (
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  ts timestamptz NOT NULL,
  key text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  deleted boolean NOT NULL,
  scan text COLLATE "C",
  layer bigint,
  qualified boolean,
  liquidity_score numeric(18,6),
  catalyst_score numeric(18,6),
  reasons json,
  PRIMARY KEY (source_id, symbol, ts, key, recorded_at)
) PARTITION BY RANGE (ts);
CREATE TABLE record_sources (
  dataset text COLLATE "C" NOT NULL,
  source_id smallint NOT NULL REFERENCES sources,
  revision bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (dataset, source_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE record_sources IS 'which source has records of which dataset; its row is locked by whoever writes them';
COMMENT ON COLUMN record_sources.revision IS 'grows with every load and expiry; a load staged at another revision is refused';
CREATE TABLE record_bounds (
  dataset text COLLATE "C" NOT NULL,
  source_id smallint NOT NULL,
  symbol text COLLATE "C" NOT NULL,
  expired_before timestamptz NOT NULL,
  PRIMARY KEY (dataset, source_id, symbol)
);
COMMENT ON TABLE record_bounds IS 'records before expired_before have expired and are hidden';
CREATE TABLE record_files (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  path text COLLATE "C" NOT NULL UNIQUE,
  dataset text COLLATE "C" NOT NULL,
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
CREATE INDEX record_files_live ON record_files (dataset, source_id) WHERE removed_at IS NULL;
CREATE TABLE record_file_symbols (
  file_id bigint NOT NULL REFERENCES record_files ON DELETE CASCADE,
  symbol text COLLATE "C" NOT NULL,
  time_min timestamptz NOT NULL,
  time_max timestamptz NOT NULL,
  rows int NOT NULL,
  PRIMARY KEY (file_id, symbol)
);
CREATE INDEX record_file_symbols_symbol ON record_file_symbols (symbol, time_min);
`,
  },
]
