export { createRateLimiter } from './RateLimiter.ts'
export type {
  QuotaPermit,
  QuotaStatus,
  RateLimiter,
  RateLimiterOptions,
  WindowStatus,
} from './RateLimiter.ts'
export type { QuotaWindow } from './slidingLog.ts'
export { keyLimitsSchema, quotaWindowSchema, rateLimitSchema } from './schema.ts'
export type { KeyLimits, RateLimitConfig } from './schema.ts'
