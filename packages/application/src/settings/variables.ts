import type { VariableRule } from '@varve/config'

/** Environment variables configuration files may refer to, and those that take effect by themselves. */
export const VARIABLES: Readonly<Record<string, VariableRule>> = {
  DATABASE_URL: {
    description: 'Postgres to use; takes effect without being named in a file',
    setting: 'connections.databaseUrl',
    secret: true,
    kind: 'databaseUrl',
  },
  POLYGON_API_KEY: { description: 'Key of the Polygon account', secret: true, kind: 'apiKey' },
  APCA_API_KEY_ID: { description: 'Key id of the Alpaca account', secret: true, kind: 'apiKey' },
  APCA_API_SECRET_KEY: { description: 'Secret of the Alpaca account', secret: true, kind: 'apiKey' },
  VARVE_ALERT_WEBHOOK_URL: {
    description: 'Where alerts are posted',
    secret: true,
    kind: 'webhookUrl',
  },
  AWS_ACCESS_KEY_ID: {
    description: 'Key id of the account the bucket is reached with',
    secret: true,
    kind: 'apiKey',
  },
  AWS_SECRET_ACCESS_KEY: { description: 'Its secret', secret: true, kind: 'apiKey' },
  VARVE_LAKE_KEY: { description: 'Encrypts lake files', secret: true },
  VARVE_BACKUP_KEY: { description: 'Encrypts backups', secret: true },
  VARVE_PREVIOUS_BACKUP_KEY: { description: 'Reads backups made with an earlier key', secret: true },
  VARVE_LAKE_DIRECTORY: { description: 'Folder of the Parquet lake' },
}
