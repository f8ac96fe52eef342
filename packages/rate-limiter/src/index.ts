export { createRateLimiter } from './RateLimiter.ts'
export type {
  KeyLimits,
  QuotaPermit,
  QuotaStatus,
  RateLimiter,
  RateLimiterOptions,
  WindowStatus,
} from './RateLimiter.ts'
export type { QuotaWindow } from './slidingLog.ts'
export { rateLimitSchema } from './schema.ts'
export type { RateLimitConfig } from './schema.ts'
