export { MANIFEST_PATH, exportManifest, readManifest } from './manifest.ts'
export type { ExportManifestOptions, ExportedManifest } from './manifest.ts'
export { lakeManifestSchema, manifestFileSchema } from './manifestFormat.ts'
export type { LakeManifest, ManifestFile } from './manifestFormat.ts'
