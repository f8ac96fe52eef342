import { VarveError, checkedOptions, errorMessage, sha256Hex } from '@varve/core'
import { type KeyObject, verify } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { dirname, extname, relative, isAbsolute } from 'node:path'
import { type ArtifactSettings, artifactOptionsSchema } from '../options.ts'
import {
  type ArtifactMetadata,
  artifactMetadataSchema,
  artifactRefused,
  metadataPath,
  signedBytes,
} from './metadata.ts'

/** Its data, with their defaults: {@link artifactOptionsSchema}. */
export interface LoadArtifactOptions extends ArtifactSettings {
  /** Where the file has to lie after following every link. @defaultValue the folder of the path */
  readonly root?: string
  /** SHA-256 known from elsewhere, in hexadecimal; checked besides the metadata, or instead where there is none. */
  readonly checksum?: string
  /** Public Ed25519 keys by name of the signer, for `paranoid`. */
  readonly trustedSigners?: Readonly<Record<string, KeyObject>>
}

export interface LoadedArtifact {
  readonly bytes: Uint8Array
  /** `undefined` when only `checksum` vouches for it. */
  readonly metadata: ArtifactMetadata | undefined
}

type Settings = ReturnType<typeof artifactOptionsSchema.parse>

/**
 * Reads a file that came from elsewhere, after looking at it as one looks at a stranger's parcel: a regular file of an
 * allowed kind and size, inside its folder, that not everybody may write, with the SHA-256 that is expected; in
 * paranoid mode signed by a trusted signer. All is checked on the opened file, so it cannot be exchanged in between.
 *
 * @throws `ARTIFACT_REFUSED` (`details.refusal` says why), `ARTIFACT_UNREADABLE`
 */
export async function loadArtifact(path: string, options: LoadArtifactOptions = {}): Promise<LoadedArtifact> {
  const { root = dirname(path), checksum, trustedSigners = {}, ...data } = options
  const settings = checkedOptions(artifactOptionsSchema, data, 'loading an artifact')
  if (!settings.extensions.includes(extname(path))) {
    throw artifactRefused(path, 'extension', `only ${settings.extensions.join(' ')} are allowed`)
  }
  const bytes = await readInside(path, root, settings.limitBytes)
  const metadata = await readMetadata(path, root, settings)
  if (metadata === undefined && checksum === undefined) {
    throw artifactRefused(
      path,
      'no checksum',
      `neither ${metadataPath(path)} nor an expected checksum vouches for it`,
    )
  }
  const found = sha256Hex(bytes)
  for (const expected of [metadata?.checksum, checksum?.toLowerCase()]) {
    if (expected !== undefined && expected !== found) {
      throw artifactRefused(path, 'checksum', `its SHA-256 is ${found}, expected ${expected}; fetch it again`)
    }
  }
  if (settings.paranoid) assertSigned(path, metadata, trustedSigners)
  return { bytes, metadata }
}

/** The content of a regular file inside `root`. */
async function readInside(path: string, root: string, limitBytes: number): Promise<Uint8Array> {
  let file: FileHandle
  try {
    const [real, realRoot] = await Promise.all([realpath(path), realpath(root)])
    const inside = relative(realRoot, real)
    if (inside.startsWith('..') || isAbsolute(inside)) {
      throw artifactRefused(path, 'outside its folder', `it leads to ${real}, outside of ${realRoot}`)
    }
    // The resolved path without links, so that a link put there meanwhile is not followed; a pipe does not block.
    file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (error instanceof VarveError) throw error
    throw new VarveError(`the artifact ${path} cannot be read: ${errorMessage(error)}`, {
      code: 'ARTIFACT_UNREADABLE',
      cause: error,
      details: { path },
    })
  }
  try {
    const info = await file.stat()
    if (!info.isFile()) throw artifactRefused(path, 'not a file', 'it is no regular file')
    if ((info.mode & constants.S_IWOTH) !== 0 && process.platform !== 'win32') {
      throw artifactRefused(
        path,
        'world-writable',
        'everybody may write it; chmod o-w, then check where it came from',
      )
    }
    if (info.size > limitBytes) throw tooLarge(path, info.size, limitBytes)
    // One byte more than allowed tells a file that grows from one that fits.
    const content = Buffer.alloc(Math.min(info.size, limitBytes) + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(content, length, content.length - length, length)
      length += bytesRead
      if (bytesRead === 0 || length === content.length) break
    }
    if (length === 0) throw artifactRefused(path, 'empty', 'there is nothing in it')
    if (length > info.size) throw tooLarge(path, length, info.size)
    return content.subarray(0, length)
  } finally {
    await file.close()
  }
}

function tooLarge(path: string, bytes: number, limitBytes: number): VarveError {
  return artifactRefused(
    path,
    'too large',
    `it has ${bytes} bytes or more, at most ${limitBytes} are allowed`,
  )
}

async function readMetadata(
  path: string,
  root: string,
  settings: Settings,
): Promise<ArtifactMetadata | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await readInside(metadataPath(path), root, settings.metadataBytes)
  } catch (error) {
    const { cause } = error as { readonly cause?: unknown }
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw error
  }
  try {
    return artifactMetadataSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (error) {
    throw artifactRefused(
      path,
      'metadata',
      `${metadataPath(path)} is not what it should be: ${errorMessage(error)}`,
    )
  }
}

function assertSigned(
  path: string,
  metadata: ArtifactMetadata | undefined,
  trusted: Readonly<Record<string, KeyObject>>,
): void {
  const { signer, signature } = metadata ?? {}
  if (metadata === undefined || signer === undefined || signature === undefined) {
    throw artifactRefused(path, 'not signed', 'paranoid mode asks for the signature of a trusted signer')
  }
  const key = Object.hasOwn(trusted, signer) ? trusted[signer] : undefined
  if (key?.asymmetricKeyType !== 'ed25519') {
    throw artifactRefused(path, 'signer not trusted', `there is no trusted Ed25519 key of "${signer}"`)
  }
  if (!verify(null, signedBytes(metadata), key, Buffer.from(signature, 'base64'))) {
    throw artifactRefused(path, 'signature', `it does not carry the signature of "${signer}"; fetch it again`)
  }
}
