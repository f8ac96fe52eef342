import { VarveError } from '@varve/core'
import type { MarketDataProvider } from '@varve/providers'
import type { PipelineContext } from './context.ts'

/** The provider of bars. @throws `PROVIDER_NONE` when none is configured */
export function requireProvider(ctx: Pick<PipelineContext, 'provider'>): MarketDataProvider {
  if (ctx.provider === undefined) {
    throw new VarveError(
      'no source of market data: configure a provider in providers.yaml, name files with --bars, or try the stand-in market with --demo',
      { code: 'PROVIDER_NONE' },
    )
  }
  return ctx.provider
}
