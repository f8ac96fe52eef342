import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LakeFiles } from '../lake/LakeFiles.ts'

/** An empty lake, and how to get rid of it. */
export interface LakeFilesFixture {
  readonly lake: LakeFiles
  cleanUp?(): Promise<void>
}

/**
 * What every `LakeFiles` must do; call it inside a test file of vitest.
 *
 * @param name - of the implementation, for the title
 * @param open - makes an empty lake, once
 */
export function describeLakeFiles(name: string, open: () => Promise<LakeFilesFixture>): void {
  describe(`lake files: ${name}`, () => {
    let fixture: LakeFilesFixture
    let lake: LakeFiles
    beforeAll(async () => {
      fixture = await open()
      lake = fixture.lake
    })
    afterAll(() => fixture.cleanUp?.())

    const bytes = (length: number, seed = 1) =>
      Uint8Array.from({ length }, (_, at) => (Math.imul(at + seed, 2_654_435_761) >>> 24) & 0xff)
    const listed = async (prefix?: string) => {
      const paths: string[] = []
      for await (const file of lake.list(prefix)) paths.push(file.path)
      return paths.sort()
    }

    it('says where it is', () => {
      expect(lake.location).not.toBe('')
    })

    it('gives back what was written, whole and in part', async () => {
      const content = bytes(70_001)
      await lake.write('whole/one.parquet', content)
      expect(await lake.size('whole/one.parquet')).toBe(content.length)
      expect(Buffer.compare(await lake.read('whole/one.parquet', 0, content.length), content)).toBe(0)
      expect(await lake.read('whole/one.parquet', 65_530, 65_545)).toEqual(content.slice(65_530, 65_545))
      expect(await lake.read('whole/one.parquet', 70_000, 70_001)).toEqual(content.slice(70_000))
      expect(await lake.read('whole/one.parquet', 5, 5)).toEqual(new Uint8Array(0))
    })

    it('gives each read memory of its own', async () => {
      await lake.write('memory/one', bytes(10))
      const first = await lake.read('memory/one', 0, 4)
      expect(first.buffer.byteLength).toBe(4)
      first.fill(0)
      expect(await lake.read('memory/one', 0, 4)).toEqual(bytes(10).slice(0, 4))
    })

    it('keeps an empty file', async () => {
      await lake.write('empty/file', new Uint8Array(0))
      expect(await lake.size('empty/file')).toBe(0)
    })

    it('knows no size of a file that is not there, and none of a folder', async () => {
      expect(await lake.size('nowhere/file')).toBeUndefined()
      await lake.write('folder/file', bytes(3))
      expect(await lake.size('folder')).toBeUndefined()
    })

    it('rejects reading a file that is missing or shorter', async () => {
      await expect(lake.read('nowhere/file', 0, 1)).rejects.toThrow()
      await lake.write('short/file', bytes(10))
      await expect(lake.read('short/file', 0, 11)).rejects.toThrow()
      await expect(lake.read('short/file', 10, 11)).rejects.toThrow()
      await expect(lake.read('short/file', 20, 30)).rejects.toThrow()
    })

    it('writes the same file twice without harm, renewing its date', async () => {
      const content = bytes(1000, 3)
      await lake.write('twice/file', content)
      const dateOf = async () => {
        for await (const file of lake.list('twice')) return file.modifiedAt
        return Number.NaN
      }
      const first = await dateOf()
      await lake.write('twice/file', content)
      expect(await dateOf()).toBeGreaterThanOrEqual(first)
      expect(await listed('twice')).toEqual(['twice/file'])
      expect(await lake.read('twice/file', 0, 1000)).toEqual(content)
    })

    it('holds what was written last, of equal length or not', async () => {
      await lake.write('replaced/file', bytes(100, 1))
      await lake.write('replaced/file', bytes(100, 2))
      expect(await lake.read('replaced/file', 0, 100)).toEqual(bytes(100, 2))
      await lake.write('replaced/file', bytes(50, 3))
      expect(await lake.size('replaced/file')).toBe(50)
      expect(await lake.read('replaced/file', 0, 50)).toEqual(bytes(50, 3))
    })

    it('keeps its own copy: the buffer may be used again after the write', async () => {
      const content = bytes(100)
      await lake.write('copy/file', content)
      content.fill(0)
      expect(await lake.read('copy/file', 0, 100)).toEqual(bytes(100))
    })

    it('lists a folder and what lies below it, with size and date, and nothing beside it', async () => {
      await lake.write('bars/a/one', bytes(1))
      await lake.write('bars/a/b/two', bytes(2))
      await lake.write('bars/three', bytes(3))
      await lake.write('bars-other/four', bytes(4))
      expect(await listed('bars')).toEqual(['bars/a/b/two', 'bars/a/one', 'bars/three'])
      expect(await listed('bars/a')).toEqual(['bars/a/b/two', 'bars/a/one'])
      expect(await listed('nothing')).toEqual([])
      expect(await listed()).toEqual(expect.arrayContaining(['bars/three', 'bars-other/four']))
      for await (const file of lake.list('bars/a/b')) {
        expect(file.bytes).toBe(2)
        expect(file.modifiedAt).toBeGreaterThan(Date.UTC(2020, 0, 1))
      }
    })

    it('takes any name a source may have', async () => {
      const path = 'bars/interval=1d/provider=a%20b%2Fc%2E/feed=+&é/adjustment=raw/x=1.parquet'
      await lake.write(path, bytes(9))
      expect(await lake.read(path, 0, 9)).toEqual(bytes(9))
      expect(await listed('bars/interval=1d')).toEqual([path])
      await lake.write(path, bytes(9))
      await lake.delete(path)
      expect(await lake.size(path)).toBeUndefined()
    })

    it('deletes a file, and a missing one without complaint', async () => {
      await lake.write('gone/file', bytes(5))
      await lake.delete('gone/file')
      await lake.delete('gone/file')
      expect(await lake.size('gone/file')).toBeUndefined()
      expect(await listed('gone')).toEqual([])
    })

    it('stays inside itself', async () => {
      for (const path of ['../outside', 'a/../../outside']) {
        await expect(lake.write(path, bytes(1))).rejects.toMatchObject({ code: 'LAKE_PATH_INVALID' })
        await expect(lake.read(path, 0, 1)).rejects.toMatchObject({ code: 'LAKE_PATH_INVALID' })
        await expect(lake.delete(path)).rejects.toMatchObject({ code: 'LAKE_PATH_INVALID' })
      }
    })

    it('writes and reads many files at once', async () => {
      await Promise.all(Array.from({ length: 30 }, (_, at) => lake.write(`many/${at}`, bytes(500, at))))
      const read = await Promise.all(Array.from({ length: 30 }, (_, at) => lake.read(`many/${at}`, 100, 200)))
      read.forEach((part, at) => expect(part).toEqual(bytes(500, at).slice(100, 200)))
      expect(await listed('many')).toHaveLength(30)
    })
  })
}
