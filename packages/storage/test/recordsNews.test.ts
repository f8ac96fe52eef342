import { describe, expect, it } from 'vitest'
import { DAY_MS, HOUR_MS } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { cleanFeatures, createNewsRepository, createRecordStore } from '../src/records/index.ts'
import { FEED, WIRE, allRows, openRecordTest } from './recordsSupport.ts'

const NOW = Date.UTC(2024, 5, 15, 12)

describe('news and features', () => {
  it('answers by story, from Postgres and the lake, and finds what is written about more than usual', async () => {
    const test = await openRecordTest('postgres')
    const clock = createTestClock(NOW)
    const store = createRecordStore({ sql: test.sql, lake: test.lake, clock })
    const news = createNewsRepository({ records: store, clock })
    const article = (symbol: string, id: string, title: string, hoursAgo: number) => ({
      symbol,
      time: NOW - hoursAgo * HOUR_MS,
      values: { article_id: id, title },
    })
    await store.load({
      dataset: 'news',
      source: FEED,
      recordedAt: NOW - 1000,
      rows: [
        article('A', '1', 'A wins a prize', 3),
        article('A', '2', 'A grows 1.5%', 30),
        article('A', '3', 'An old story', 24 * 40),
        ...Array.from({ length: 6 }, (_, index) => article('B', `b${index}`, `B does thing ${index}`, index)),
        // As usual: one a day.
        ...Array.from({ length: 17 }, (_, index) =>
          article('C', `c${index}`, `C today ${index}`, index < 4 ? index : index * 24),
        ),
      ],
    })
    await store.load({
      dataset: 'news',
      source: WIRE,
      recordedAt: NOW - 1000,
      rows: [article('A', 'w1', 'A Wins a Prize!', 2)],
    })
    await store.archive('news', { before: () => NOW - DAY_MS })
    const latest = await news.latest('A', 3)
    expect(
      latest.map((story) => [
        story.first.values.title,
        story.others.map(({ item, kind }) => `${item.source.provider} ${kind}`),
      ]),
    ).toEqual([
      ['A wins a prize', ['wire near']],
      ['A grows 1.5%', []],
      ['An old story', []],
    ])
    expect((await news.latest('A', 1)).length).toBe(1)
    expect(await news.latest('A', 3, { asOf: NOW - 2000 })).toEqual([])
    const trends = await news.trending()
    expect(trends.map(({ symbol, stories }) => [symbol, stories])).toEqual([
      ['B', 6],
      ['C', 4],
    ])
    expect(trends[0]!.ratio).toBe(6)
    expect(trends[1]!.expected).toBeGreaterThan(0.7)
    expect((await news.trending({ limit: 1 })).length).toBe(1)
    expect((await news.stories({ symbols: ['A'], from: 0, to: NOW + 1 })).length).toBe(3)

    const feature = (name: string, daysAgo: number) => ({
      symbol: 'A',
      time: NOW - daysAgo * DAY_MS,
      values: { name, version: '1', value: '0.123456789012345678' },
    })
    await store.load({
      dataset: 'features',
      source: FEED,
      rows: ['used', 'unused'].flatMap((name) => [40, 35, 31, 29, 1].map((days) => feature(name, days))),
    })
    await store.archive('features', { before: () => NOW - 34 * DAY_MS })
    expect(await cleanFeatures({ records: store, clock, isActive: (name) => name === 'used' })).toEqual({
      hotRows: 1,
      coldRows: 2,
    })
    const left = await allRows(store, { dataset: 'features' })
    expect(left.filter((row) => row.values.name === 'used').length).toBe(5)
    expect(
      left.filter((row) => row.values.name === 'unused').map((row) => (NOW - row.time) / DAY_MS),
    ).toEqual([29, 1])
    await test.close()
  })
})
