import { generateKeyPairSync } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sha256Hex } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadArtifact } from './loadArtifact.ts'
import { saveArtifact } from './saveArtifact.ts'

const bytes = Buffer.from('weights')
const metadata = { id: 'regime', version: '3', creator: 'research', type: 'model' }
const ours = generateKeyPairSync('ed25519')
const theirs = generateKeyPairSync('ed25519')

describe('artifacts', () => {
  let home = ''
  let folder = ''
  let path = ''
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'varve-artifacts-'))
    folder = join(home, 'models')
    path = join(folder, 'model.bin')
  })
  afterEach(() => rmSync(home, { recursive: true }))

  const save = (options: Partial<Parameters<typeof saveArtifact>[0]> = {}) =>
    saveArtifact({ folder, name: 'model.bin', bytes, metadata, clock: createTestClock(0), ...options })
  const refused = (refusal: string) =>
    expect.objectContaining({ code: 'ARTIFACT_REFUSED', details: expect.objectContaining({ refusal }) })
  const load = (options: Parameters<typeof loadArtifact>[1] = {}, from = path) => loadArtifact(from, options)

  it('are saved closed to others, with what is known about them, and load again', async () => {
    const saved = await save()
    expect(saved).toEqual({
      ...metadata,
      createdAt: '1970-01-01T00:00:00.000Z',
      checksum: sha256Hex(bytes),
      sizeBytes: 7,
    })
    expect(await load()).toEqual({ bytes, metadata: saved })
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(`${path}.meta.json`).mode & 0o777).toBe(0o600)
  })

  it('are refused when changed, be it by one bit', async () => {
    await save()
    writeFileSync(path, 'weightz')
    await expect(load()).rejects.toEqual(refused('checksum'))
  })

  it('are refused when they are not the expected ones', async () => {
    await save()
    await expect(load({ checksum: sha256Hex('other') })).rejects.toEqual(refused('checksum'))
    await expect(load({ checksum: sha256Hex(bytes).toUpperCase() })).resolves.toBeDefined()
  })

  it('are refused when nothing vouches for them, or nonsense does', async () => {
    mkdirSync(folder)
    writeFileSync(path, bytes)
    await expect(load()).rejects.toEqual(refused('no checksum'))
    await expect(load({ checksum: sha256Hex(bytes) })).resolves.toEqual({ bytes, metadata: undefined })
    writeFileSync(`${path}.meta.json`, '{"checksum": 1}')
    await expect(load({ checksum: sha256Hex(bytes) })).rejects.toEqual(refused('metadata'))
  })

  it('are refused when empty, too large or of another kind', async () => {
    await save()
    await expect(load({ limitBytes: 6 })).rejects.toEqual(refused('too large'))
    truncateSync(path, 104_857_601)
    await expect(load()).rejects.toEqual(refused('too large'))
    truncateSync(path, 0)
    await expect(load()).rejects.toEqual(refused('empty'))
    await expect(load({}, join(folder, 'model.pkl'))).rejects.toEqual(refused('extension'))
    await expect(load({}, join(folder, 'gone.bin'))).rejects.toMatchObject({ code: 'ARTIFACT_UNREADABLE' })
    mkdirSync(join(folder, 'folder.bin'))
    await expect(load({}, join(folder, 'folder.bin'))).rejects.toEqual(refused('not a file'))
  })

  it.skipIf(process.platform === 'win32')('are refused when everybody may write them', async () => {
    await save()
    chmodSync(path, 0o602)
    await expect(load()).rejects.toEqual(refused('world-writable'))
    chmodSync(path, 0o600)
    chmodSync(`${path}.meta.json`, 0o666)
    await expect(load()).rejects.toEqual(refused('world-writable'))
  })

  it.skipIf(process.platform === 'win32')('are refused when they lead out of their folder', async () => {
    await save()
    const outside = join(home, 'outside.bin')
    writeFileSync(outside, bytes)
    symlinkSync(outside, join(folder, 'link.bin'))
    await expect(load({ checksum: sha256Hex(bytes) }, join(folder, 'link.bin'))).rejects.toEqual(
      refused('outside its folder'),
    )
    await expect(
      load({ root: folder, checksum: sha256Hex(bytes) }, join(folder, '..', 'outside.bin')),
    ).rejects.toEqual(refused('outside its folder'))
    symlinkSync(path, join(folder, 'inside.bin'))
    await expect(load({ checksum: sha256Hex(bytes) }, join(folder, 'inside.bin'))).resolves.toMatchObject({
      bytes,
    })
  })

  describe('in paranoid mode', () => {
    const trustedSigners = { ci: ours.publicKey }
    it('pass with the signature of a trusted signer', async () => {
      await save({ signWith: { signer: 'ci', privateKey: ours.privateKey } })
      await expect(load({ paranoid: true, trustedSigners })).resolves.toMatchObject({
        metadata: { signer: 'ci' },
      })
    })

    it('are refused without one, with a stranger’s, or with one for something else', async () => {
      await save()
      await expect(load({ paranoid: true, trustedSigners })).rejects.toEqual(refused('not signed'))
      await save({ signWith: { signer: 'stranger', privateKey: theirs.privateKey } })
      await expect(load({ paranoid: true, trustedSigners })).rejects.toEqual(refused('signer not trusted'))
      await save({ signWith: { signer: 'toString', privateKey: theirs.privateKey } })
      await expect(load({ paranoid: true, trustedSigners })).rejects.toEqual(refused('signer not trusted'))
      await save({ signWith: { signer: 'ci', privateKey: theirs.privateKey } })
      await expect(load({ paranoid: true, trustedSigners })).rejects.toEqual(refused('signature'))
      await save({ signWith: { signer: 'ci', privateKey: ours.privateKey } })
      const known = readFileSync(`${path}.meta.json`, 'utf8')
      writeFileSync(`${path}.meta.json`, known.replace('"version": "3"', '"version": "4"'))
      await expect(load({ paranoid: true, trustedSigners })).rejects.toEqual(refused('signature'))
      // Without paranoia the same metadata would do (control).
      await expect(load()).resolves.toMatchObject({ metadata: { version: '4' } })
    })
  })

  it('are not saved when they could not be loaded', async () => {
    await expect(save({ bytes: Buffer.alloc(0) })).rejects.toEqual(refused('empty'))
    await expect(save({ limitBytes: 1 })).rejects.toEqual(refused('too large'))
    await expect(save({ name: 'model.js' })).rejects.toEqual(refused('extension'))
    await expect(save({ name: '../model.bin' })).rejects.toEqual(refused('outside its folder'))
  })
})
