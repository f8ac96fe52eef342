import { retentionSchema } from '@varve/pipeline'
import type { z } from 'zod'
import { alertingSettingsSchema } from './alerting.ts'
import { backfillSettingsSchema } from './backfill.ts'
import { backupSettingsSchema } from './backup.ts'
import { cacheSettingsSchema } from './cache.ts'
import { connectionsSettingsSchema } from './connections.ts'
import { contextsSettingsSchema } from './contexts.ts'
import { daemonSettingsSchema } from './daemon.ts'
import { eventsSettingsSchema } from './events.ts'
import { featuresSettingsSchema } from './features.ts'
import { layersSettingsSchema } from './layers.ts'
import { monitoringSettingsSchema } from './monitoring.ts'
import { networkSettingsSchema } from './network.ts'
import { providersSettingsSchema } from './providers.ts'
import { qualitySettingsSchema } from './quality.ts'
import { rateLimitsSettingsSchema } from './rateLimits.ts'
import { riskSettingsSchema } from './risk.ts'
import { scannerSettingsSchema } from './scanner.ts'
import { securitySettingsSchema } from './security.ts'
import { startupSettingsSchema } from './startup.ts'
import { storageSettingsSchema } from './storage.ts'

/** Every configuration file and the schema it must meet. */
export const SECTIONS = {
  layers: layersSettingsSchema,
  scanner: scannerSettingsSchema,
  providers: providersSettingsSchema,
  'rate-limits': rateLimitsSettingsSchema,
  network: networkSettingsSchema,
  backfill: backfillSettingsSchema,
  quality: qualitySettingsSchema,
  retention: retentionSchema,
  storage: storageSettingsSchema,
  backup: backupSettingsSchema,
  connections: connectionsSettingsSchema,
  cache: cacheSettingsSchema,
  events: eventsSettingsSchema,
  features: featuresSettingsSchema,
  risk: riskSettingsSchema,
  security: securitySettingsSchema,
  startup: startupSettingsSchema,
  contexts: contextsSettingsSchema,
  monitoring: monitoringSettingsSchema,
  alerting: alertingSettingsSchema,
  daemon: daemonSettingsSchema,
} as const

/** What each file is for, in one line. */
export const PURPOSE: Readonly<Record<keyof typeof SECTIONS, string>> = {
  layers:
    'Which symbols matter, and how much: name, criteria, data, retention, depth and order of backfill of layers 0 to 3.',
  scanner: 'How symbols are listed and judged.',
  providers: 'Sources of market data. Secrets come from the environment.',
  'rate-limits': "Quotas of providers' plans. Every window holds at once and is never exceeded.",
  network: 'How requests leave this process, whichever provider they go to.',
  backfill: 'How history is fetched and gaps are healed.',
  quality: 'What validation takes for impossible or strange.',
  retention: "Retention that is no layer's: after a demotion, and of imported series.",
  storage: 'Where rows lie and how they are moved: hot in Postgres, cold in the lake.',
  backup: 'Restore points: where they go, when they are made, how long they are kept.',
  connections: 'How databases are reached.',
  cache: 'What is kept in memory.',
  events: 'Events, and the jobs they ask for.',
  features: 'Switches of what happens by itself.',
  risk: 'Limits of what may be traded.',
  security: 'How strict start-up is.',
  startup: 'What start-up validation asks of the machine.',
  contexts: 'How long each kind of application may take to start, and to stop.',
  monitoring: 'What the daemon says about itself.',
  alerting: 'Who is told when something needs a person.',
  daemon: 'The long-running service.',
}

export type Settings = { readonly [Name in keyof typeof SECTIONS]: z.output<(typeof SECTIONS)[Name]> }
