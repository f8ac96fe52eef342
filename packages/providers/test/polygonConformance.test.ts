import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames, isVarveError, parseScaled } from '@varve/core'
import { createPolygonProvider } from '../src/index.ts'
import { describe, expect, it } from 'vitest'
import { API_KEY, calendar, expectedDays, market, rowsOf, setUp } from './support.ts'

const YEAR = { from: '2024-11-15', to: '2025-11-14' }
const SHORT = { from: '2025-10-01', to: '2025-10-31' }
const day = (symbol: string, range = SHORT) => ({ symbols: [symbol], interval: '1d' as const, range })

/** The error a promise ends with. */
async function failureOf(promise: Promise<unknown>) {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isVarveError(error)) throw new Error(`expected a VarveError, got ${String(error)}`)
  return error
}

describe('Polygon conformance', () => {
  it('TC-P01 pages arrive in order, joined exactly, one request id each', async () => {
    await using s = await setUp({}, { pageLimit: 100 })
    const result = await s.provider.bars(day('BRK.B', YEAR))
    expect(rowsOf(result.batch)).toEqual(expectedDays(market, 'BRK.B', YEAR.from, YEAR.to))
    expect(result.complete).toBe(true)
    expect(result.provenance.requests).toBe(3)
    expect(new Set(result.provenance.requestIds).size).toBe(3)
    expect(s.standIn.log().map(({ url }) => url.includes('cursor='))).toEqual([false, true, true])
  })

  it('TC-P02 the page limit counts minutes scanned, and paging goes on', async () => {
    await using s = await setUp({}, { pageLimit: 1000 })
    const range = { from: '2025-10-06', to: '2025-10-10' }
    const result = await s.provider.bars({ symbols: ['BRK.B'], interval: '5m', range })
    const expected = calendar.expectedTimestamps('5m', range.from, range.to)
    expect([...result.batch.time.subarray(0, result.batch.length)]).toEqual([...expected])
    expect(result.provenance.requests).toBeGreaterThanOrEqual(2)
    const minutes = market
      .minutes('BRK.B', '2025-10-06')
      .filter(({ time }) => time < expected[0]! + 300_000 && time >= expected[0]!)
    expect(rowsOf(result.batch)[0]).toMatchObject({
      open: BigInt(minutes[0]!.open) * 100n,
      close: BigInt(minutes.at(-1)!.close) * 100n,
      volume: BigInt(minutes.reduce((sum, { volume }) => sum + volume, 0)) * 1_000_000n,
    })
  })

  it('TC-P03 day bars keep their session across the change of clocks, grouped ones too', async () => {
    await using s = await setUp()
    const range = { from: '2025-03-07', to: '2025-03-10' }
    const { batch } = await s.provider.bars(day('A', range))
    expect([...batch.time.subarray(0, 2)]).toEqual([Date.UTC(2025, 2, 7), Date.UTC(2025, 2, 10)])
    for (const date of [range.from, range.to]) {
      const daily = await s.provider.dailyMarket(date)
      expect(new Set(daily.batch.time.subarray(0, daily.batch.length))).toEqual(new Set([Date.parse(date)]))
      const a = rowsOf(daily.batch).find(({ symbol }) => symbol === 'A')
      expect(a).toEqual(market.bar('A', date))
    }
  })

  it('TC-P06 an empty answer about a trading day is asked twice, then named empty', async () => {
    await using s = await setUp()
    const unknown = await s.provider.bars(day('NOSUCH'))
    expect(unknown).toMatchObject({ emptySymbols: ['NOSUCH'], complete: true, provenance: { requests: 2 } })
    s.standIn.setFaults({ rules: [{ path: '/aggs/', fault: 'empty200' }] })
    const hiccup = await s.provider.bars(day('A'))
    expect(rowsOf(hiccup.batch)).toEqual(expectedDays(market, 'A', SHORT.from, SHORT.to))
    expect(hiccup.emptySymbols).toEqual([])
  })

  it('TC-P07 an empty answer about closed days is believed at once', async () => {
    await using s = await setUp()
    for (const date of ['2025-01-09', '2025-11-09']) {
      const result = await s.provider.bars(day('A', { from: date, to: date }))
      expect(result).toMatchObject({ emptySymbols: ['A'], provenance: { requests: 1 } })
      expect((await s.provider.dailyMarket(date)).batch.length).toBe(0)
    }
  })

  it('TC-P08 a half day has its 210 minutes; the rest is cut', async () => {
    await using s = await setUp()
    const range = { from: '2025-07-03', to: '2025-07-03' }
    const { batch } = await s.provider.bars({ symbols: ['BRK.B'], interval: '1m', range })
    const traded = market.minutes('BRK.B', '2025-07-03')
    expect(traded.length).toBeGreaterThan(210)
    expect([...batch.time.subarray(0, batch.length)]).toEqual([
      ...calendar.expectedTimestamps('1m', range.from, range.to),
    ])
  })

  it('TC-P08b hours count from the open, not from the clock', async () => {
    await using s = await setUp()
    const range = { from: '2025-07-02', to: '2025-07-03' }
    const { batch } = await s.provider.bars({ symbols: ['BRK.B'], interval: '1h', range })
    const expected = calendar.expectedTimestamps('1h', range.from, range.to)
    expect([...batch.time.subarray(0, batch.length)]).toEqual([...expected])
    const inFirst = market
      .minutes('BRK.B', '2025-07-02')
      .filter(({ time }) => time >= expected[0]! && time < expected[1]!)
    expect(rowsOf(batch)[0]).toMatchObject({
      open: BigInt(inFirst[0]!.open) * 100n,
      high: BigInt(Math.max(...inFirst.map(({ high }) => high))) * 100n,
      low: BigInt(Math.min(...inFirst.map(({ low }) => low))) * 100n,
      close: BigInt(inFirst.at(-1)!.close) * 100n,
    })
  })

  it('TC-P09 429 pauses the quota; Retry-After is honoured, nonsense in it is not', async () => {
    const refused = (headers: Record<string, string>) => ({
      rules: [{ answer: { status: 429, body: '', headers } }],
    })
    await using s = await setUp({}, { rateLimitedPauseMs: 120 })
    const gap = async (headers: Record<string, string>) => {
      s.standIn.setFaults(refused(headers))
      const before = s.standIn.log().length
      await s.provider.bars(day('A'))
      const [first, second] = s.standIn.log().slice(before)
      return second!.at - first!.at
    }
    expect(await gap({})).toBeGreaterThanOrEqual(120)
    expect(await gap({ 'retry-after': '0.3' })).toBeGreaterThanOrEqual(300)
    expect(await gap({ 'retry-after': '-5' })).toBeGreaterThanOrEqual(120)
    expect(await gap({ 'retry-after': '2020000' })).toBeGreaterThanOrEqual(120)
    s.standIn.setFaults(refused({ 'retry-after': '100' }))
    const late = await failureOf(createClientWithDeadline(s, 500).bars(day('A')))
    expect(late).toMatchObject({
      code: 'PROVIDER_RATE_LIMITED',
      retryable: true,
      details: { retryAfterMs: 100_000 },
    })
  })

  it('TC-P10 a refused key opens the breaker at once and nothing else is sent', async () => {
    await using s = await setUp({ apiKey: 'another-key-000000' })
    expect(await failureOf(s.provider.bars(day('A')))).toMatchObject({
      code: 'PROVIDER_AUTH',
      retryable: false,
    })
    expect(await failureOf(s.provider.bars(day('BRK.B')))).toMatchObject({ code: 'CIRCUIT_OPEN' })
    expect(s.standIn.requests()).toBe(1)
  })

  it('TC-P11 another adjustment on page 2 fails the whole range', async () => {
    await using s = await setUp({}, { pageLimit: 100 })
    s.standIn.setFaults({ rules: [{ page: 2, times: 9, fault: 'wrongAdjusted' }] })
    expect(await failureOf(s.provider.bars(day('A', YEAR)))).toMatchObject({ code: 'PROVIDER_INTEGRITY' })
    // Control: one such page that is right when asked again does no harm.
    s.standIn.setFaults({ rules: [{ page: 2, fault: 'wrongAdjusted' }] })
    const { batch } = await s.provider.bars(day('A', YEAR))
    expect(rowsOf(batch)).toEqual(expectedDays(market, 'A', YEAR.from, YEAR.to))
  })

  it('TC-P12 a paging URL to another host is refused and the key stays home', async () => {
    const hosts: string[] = []
    const spy: typeof fetch = (input, init) => {
      hosts.push(new URL(input instanceof Request ? input.url : input).host)
      return fetch(input, init)
    }
    await using s = await setUp({}, { pageLimit: 100, fetch: spy })
    s.standIn.setFaults({ rules: [{ page: 1, fault: 'foreignNext' }] })
    const error = await failureOf(s.provider.bars(day('A', YEAR)))
    expect(error).toMatchObject({ code: 'PROVIDER_INTEGRITY', retryable: false })
    expect(new Set(hosts)).toEqual(new Set([new URL(s.standIn.url).host]))
  })

  it('TC-P12b a redirect is refused', async () => {
    await using s = await setUp()
    const answer = { status: 302, body: '', headers: { location: `${s.standIn.url}/elsewhere` } }
    s.standIn.setFaults({ rules: [{ answer }] })
    expect(await failureOf(s.provider.bars(day('A')))).toMatchObject({ code: 'PROVIDER_INVALID_REQUEST' })
    expect(s.standIn.requests()).toBe(1)
  })

  it('TC-P15 a split shows in raw prices and is undone exactly in adjusted ones', async () => {
    await using raw = await setUp()
    await using adjusted = await setUp({}, { adjusted: true })
    expect(adjusted.provider.source.adjustment).toBe('split')
    const splits = await raw.provider.splits({ range: YEAR })
    expect(splits.map(({ from, to }) => [from, to])).toEqual([
      [1_000_000n, 4_000_000n],
      [50_000_000n, 1_000_000n],
    ])
    for (const { symbol, executionDate, from, to } of splits) {
      const before = rowsOf((await raw.provider.bars(day(symbol, YEAR))).batch)
      const after = rowsOf((await adjusted.provider.bars(day(symbol, YEAR))).batch)
      expect(after).toHaveLength(before.length)
      let changed = 0
      before.forEach((bar, index) => {
        const early = bar.time < Date.parse(executionDate)
        const [numerator, denominator] = early ? [from, to] : [1n, 1n]
        expect(after[index]!.close * denominator).toBe(bar.close * numerator)
        expect(after[index]!.volume * numerator).toBe(bar.volume * denominator)
        if (early) changed++
      })
      expect(changed).toBeGreaterThan(100)
    }
  })

  it('TC-P16 a retry within a range fetches only the page that failed', async () => {
    await using s = await setUp({}, { pageLimit: 50 })
    s.standIn.setFaults({ rules: [{ page: 4, fault: 'status500' }] })
    const { provenance } = await s.provider.bars(day('A', YEAR))
    const pages = s.standIn.log().map(({ url }) => /range\/1\/day\/([^/]+)/.exec(url)![1])
    expect(provenance.requests).toBe(pages.length)
    expect(new Set(pages).size).toBe(pages.length - 1)
  })

  it('TC-P17 numbers are read from their text, to the last digit', async () => {
    await using s = await setUp()
    const rows = [
      '{"v":7.0790813e+07,"o":0.1,"c":123456789.123456,"h":123456789.123456,"l":0.000001,"t":1759809600000}',
      '{"v":25933.6,"o":1,"c":1.1234567,"h":2,"l":1,"t":1759896000000}',
      '{"v":25933.6,"o":1,"c":null,"h":2,"l":1,"t":1759982400000}',
      '{"v":1,"o":"1","c":1,"h":2,"l":1,"t":1760068800000}',
    ]
    const body = `{"ticker":"A","queryCount":4,"resultsCount":4,"adjusted":false,"results":[${rows.join(',')}],"status":"OK"}`
    s.standIn.setFaults({ rules: [{ answer: { status: 200, body } }] })
    const { batch, rejected, emptySymbols } = await s.provider.bars(day('A'))
    expect(rowsOf(batch)).toEqual([
      {
        symbol: 'A',
        time: Date.UTC(2025, 9, 7),
        open: parseScaled('0.1'),
        high: parseScaled('123456789.123456'),
        low: 1n,
        close: parseScaled('123456789.123456'),
        volume: parseScaled('70790813'),
        sourceRow: -1,
      },
    ])
    expect(rejected.map(({ rule, raw }) => [rule, raw['c']])).toEqual([
      ['too_many_decimals', '1.1234567'],
      ['null_price', null],
      ['not_a_number', '1'],
    ])
    expect(emptySymbols).toEqual([])
  })

  it('TC-P18 further fields and missing optional ones change nothing', async () => {
    await using s = await setUp()
    const item = '{"new":{"x":[1]},"v":1,"o":1,"c":1,"h":1,"l":1,"t":1759809600000,"otc":true}'
    const body = `{"extra":null,"adjusted":false,"results":[${item}]}`
    s.standIn.setFaults({ rules: [{ answer: { status: 200, body } }] })
    expect((await s.provider.bars(day('A'))).batch.length).toBe(1)
  })

  it('TC-P19 a repeated page is dropped, a conflicting one refused', async () => {
    await using s = await setUp({}, { pageLimit: 100, breaker: null })
    s.standIn.setFaults({ rates: { duplicatePage: 1 } })
    const { batch } = await s.provider.bars(day('A', YEAR))
    expect(rowsOf(batch)).toEqual(expectedDays(market, 'A', YEAR.from, YEAR.to))
    s.standIn.setFaults({ rates: {} })
    const bar = (close: number, t: number) => `{"v":1,"o":1,"c":${close},"h":2,"l":1,"t":${t}}`
    for (const [results, code] of [
      [`${bar(1, 1759809600000)},${bar(2, 1759809600000)}`, 'PROVIDER_INTEGRITY'],
      [`${bar(1, 1759896000000)},${bar(1, 1759809600000)}`, 'PROVIDER_INTEGRITY'],
    ]) {
      const body = `{"adjusted":false,"results":[${results}],"status":"OK"}`
      s.standIn.setFaults({ rules: [{ times: 3, answer: { status: 200, body } }] })
      expect(await failureOf(s.provider.bars(day('A')))).toMatchObject({ code })
    }
  })

  it('TC-P20 a skipped page and a broken last page never pass as complete', async () => {
    await using s = await setUp({}, { pageLimit: 50, breaker: null })
    s.standIn.setFaults({ rates: { missingPage: 1 } })
    expect(await failureOf(s.provider.bars(day('A', YEAR)))).toMatchObject({
      code: 'PROVIDER_INCOMPLETE',
      retryable: true,
    })
    const lastWeek = { from: '2025-11-10', to: '2025-11-14' }
    expect(await failureOf(s.provider.bars(day('A', lastWeek)))).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
    })
    s.standIn.setFaults({ rates: {}, rules: [{ page: 3, times: 3, fault: 'empty200' }] })
    expect(await failureOf(s.provider.bars(day('A', YEAR)))).toMatchObject({ code: 'PROVIDER_INCOMPLETE' })
    s.standIn.setFaults({ rules: [{ page: 2, fault: 'missingPage' }] })
    const { batch } = await s.provider.bars(day('A', YEAR))
    expect(rowsOf(batch)).toEqual(expectedDays(market, 'A', YEAR.from, YEAR.to))
  })

  it('TC-P21 truncated JSON, a connection cut mid-body, HTML and silence are retried, then classified', async () => {
    await using s = await setUp({}, { breaker: null, requestTimeoutMs: 80 })
    const html = { status: 200, body: '<html>Will be right back</html>' }
    for (const [rule, code] of [
      [{ fault: 'truncated' }, 'PROVIDER_MALFORMED'],
      [{ fault: 'reset' }, 'PROVIDER_NETWORK'],
      [{ fault: 'timeout' }, 'PROVIDER_TIMEOUT'],
      [{ answer: html }, 'PROVIDER_MALFORMED'],
      [{ fault: 'status500' }, 'PROVIDER_UNAVAILABLE'],
    ] as const) {
      s.standIn.setFaults({ rules: [{ times: 2, ...rule }] })
      expect((await s.provider.bars(day('A'))).batch.length).toBeGreaterThan(15)
      s.standIn.setFaults({ rules: [{ times: 3, ...rule }] })
      expect(await failureOf(s.provider.bars(day('A')))).toMatchObject({ code, retryable: true })
    }
  })

  it.each([
    [
      400,
      '{"status":"ERROR","request_id":"r","error":"Could not parse the ticker"}',
      'PROVIDER_INVALID_REQUEST',
      false,
    ],
    [401, '<html>', 'PROVIDER_AUTH', false],
    [
      403,
      '{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data. Please upgrade your plan at x"}',
      'PROVIDER_ENTITLEMENT',
      false,
    ],
    [
      403,
      '{"status":"NOT_AUTHORIZED","message":"Your plan doesn\'t include this data timeframe"}',
      'PROVIDER_ENTITLEMENT',
      false,
    ],
    [404, '{"status":"NOT_FOUND","message":"Ticker not found."}', 'PROVIDER_NOT_FOUND', false],
    [413, '', 'PROVIDER_UNAVAILABLE', true],
    [418, '', 'PROVIDER_INVALID_REQUEST', false],
    [499, '', 'PROVIDER_UNAVAILABLE', true],
    [599, '', 'PROVIDER_UNAVAILABLE', true],
    [200, '{"status":"ERROR","error":"something broke"}', 'PROVIDER_UNAVAILABLE', true],
    [
      200,
      '{"status":"ERROR","error":"You\'ve exceeded the maximum requests per minute"}',
      'PROVIDER_RATE_LIMITED',
      true,
    ],
  ])('TC-P22 %i %s is %s', async (status, body, code, retryable) => {
    await using s = await setUp({}, { attempts: 1 })
    s.standIn.setFaults({ rules: [{ answer: { status, body } }] })
    expect(await failureOf(s.provider.bars(day('A')))).toMatchObject({ code, retryable })
  })

  it('TC-P22b DELAYED is a success', async () => {
    await using s = await setUp()
    const body =
      '{"adjusted":false,"status":"DELAYED","results":[{"v":1,"o":1,"c":1,"h":1,"l":1,"t":1759809600000}]}'
    s.standIn.setFaults({ rules: [{ answer: { status: 200, body } }] })
    expect((await s.provider.bars(day('A'))).batch.length).toBe(1)
  })

  it('TC-P23 the key is in no URL, error or message, even when the server echoes it', async () => {
    const messages: unknown[] = []
    const listen = (message: unknown) => messages.push(message)
    for (const name of Object.values(channelNames)) subscribe(name, listen)
    await using s = await setUp({}, { attempts: 1 })
    await s.provider.bars(day('A'))
    const body = `{"status":"ERROR","error":"bad key ${API_KEY} at ?apiKey=${API_KEY}"}`
    s.standIn.setFaults({ rules: [{ answer: { status: 400, body } }] })
    const error = await failureOf(s.provider.bars(day('A')))
    for (const name of Object.values(channelNames)) unsubscribe(name, listen)
    expect(error.message).toContain('[key]')
    expect(JSON.stringify([error.message, error.details, error.stack, messages])).not.toContain(API_KEY)
    expect(messages).toContainEqual(
      expect.objectContaining({ provider: 'polygon', endpoint: 'aggs', outcome: 'ok', status: 200 }),
    )
    expect(s.standIn.log().some(({ keyInUrl }) => keyInUrl)).toBe(false)
    expect(s.standIn.log()[0]!.headers).toMatchObject({ 'user-agent': 'varve', 'accept-encoding': 'gzip' })
  })

  it('TC-P24 an aborted call ends with its reason and stops paging', async () => {
    await using s = await setUp({}, { pageLimit: 10 })
    const stop = new AbortController()
    const reason = new Error('shutting down')
    s.standIn.setFaults({ rules: [{ page: 3, fault: 'timeout' }] })
    const call = s.provider.bars({ ...day('A', YEAR), signal: stop.signal })
    setTimeout(() => stop.abort(reason), 60)
    await expect(call).rejects.toBe(reason)
    expect(s.standIn.requests()).toBeLessThanOrEqual(3)
  })

  it('TC-P25 the whole market of a session in one call; silence about it is no answer', async () => {
    await using s = await setUp()
    const { batch, complete, provenance } = await s.provider.dailyMarket('2025-11-13')
    expect(complete).toBe(true)
    expect(provenance.requests).toBe(1)
    const listed = market.listings('2025-11-13').filter(({ company }) => company.market === 'stocks')
    const expected = listed
      .map(({ symbol }) => market.bar(symbol, '2025-11-13'))
      .filter((bar) => bar !== undefined)
    expect(rowsOf(batch)).toEqual(expected)
    s.standIn.setFaults({ rules: [{ times: 2, fault: 'empty200' }] })
    expect(await failureOf(s.provider.dailyMarket('2025-11-13'))).toMatchObject({
      code: 'PROVIDER_INCOMPLETE',
    })
    expect(await failureOf(s.provider.dailyMarket('2025-11-17'))).toMatchObject({
      code: 'PROVIDER_ENTITLEMENT',
    })
  })

  it('TC-P26 listings of a day, over pages, without what was not listed', async () => {
    await using s = await setUp()
    const asOf = '2025-10-20'
    const listings = await s.provider.listings({ asOf })
    const expected = market.listings(asOf).filter(({ company }) => company.market === 'stocks')
    expect(listings.map(({ symbol }) => symbol)).toEqual(expected.map(({ symbol }) => symbol))
    expect(listings[0]).toMatchObject({
      active: true,
      exchange: expected[0]!.company.exchange,
      marketCap: null,
    })
    await using otc = await setUp({}, { includeOtc: true })
    const all = await otc.provider.listings({ asOf })
    expect(all.length).toBe(market.listings(asOf).length)
  })
})

function createClientWithDeadline(s: Awaited<ReturnType<typeof setUp>>, deadlineMs: number) {
  return createPolygonProvider({
    baseUrl: `${s.standIn.url}/polygon`,
    apiKey: API_KEY,
    quota: { acquire: () => Promise.resolve(), penalize: () => undefined },
    calendar,
    deadlineMs,
  })
}
