import type { Migration } from '@varve/core'

/** Tables of this package: `runtime_locks`, `runtime_fences`, `runtime_state`. */
export const runtimeMigrations: readonly Migration[] = [
  {
    id: 'runtime/0001-locks-and-state',
    sql: `
CREATE TABLE runtime_locks (
  name text PRIMARY KEY,
  owner text,
  token bigint NOT NULL,
  ends_at timestamptz NOT NULL
);
CREATE TABLE runtime_fences (
  name text PRIMARY KEY,
  token bigint NOT NULL
);
CREATE SEQUENCE runtime_state_version;
CREATE TABLE runtime_state (
  namespace text NOT NULL,
  key text NOT NULL,
  value text NOT NULL,
  version bigint NOT NULL,
  ends_at timestamptz,
  PRIMARY KEY (namespace, key)
);`,
  },
]
