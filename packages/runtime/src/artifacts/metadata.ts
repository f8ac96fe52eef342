import { VarveError, canonicalJson } from '@varve/core'
import { z } from 'zod'

/** What is known about an artifact; kept beside it as `NAME.meta.json`. */
export const artifactMetadataSchema = z.strictObject({
  id: z.string().min(1).describe('Which artifact this is'),
  version: z.string().min(1).describe('Which version of it'),
  creator: z.string().min(1).describe('Who or what made it'),
  createdAt: z.iso.datetime().describe('When'),
  type: z.string().min(1).describe('What kind of thing it is'),
  checksum: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe('SHA-256 of the file'),
  sizeBytes: z.int().positive().describe('Its length, bytes'),
  signer: z.string().min(1).optional().describe('Whose key signed this metadata'),
  signature: z.base64().optional().describe('Ed25519 over everything above'),
})
export type ArtifactMetadata = z.output<typeof artifactMetadataSchema>

/** Why an artifact is not let in. */
export type ArtifactRefusal =
  | 'empty'
  | 'too large'
  | 'extension'
  | 'not a file'
  | 'outside its folder'
  | 'world-writable'
  | 'no checksum'
  | 'metadata'
  | 'checksum'
  | 'not signed'
  | 'signer not trusted'
  | 'signature'

export function artifactRefused(path: string, refusal: ArtifactRefusal, message: string): VarveError {
  return new VarveError(`the artifact ${path} was refused: ${message}`, {
    code: 'ARTIFACT_REFUSED',
    details: { path, refusal },
  })
}

export function metadataPath(path: string): string {
  return `${path}.meta.json`
}

/** The bytes a signature covers. */
export function signedBytes(metadata: ArtifactMetadata): Buffer {
  return Buffer.from(canonicalJson({ ...metadata, signature: undefined }))
}
