/**
 * Image names of NBD exports, and the versions of both. Pure.
 *
 * An export is an image of its name. The default export, whose name is empty, is called `default`.
 */
import type { Digest } from '../contract/digest.ts'
import { isImageName } from '../contract/image-name.ts'

/** Name of the image of the export without a name. */
export const defaultExportImage = 'default'

/** The image of an export; null: it cannot be a file. */
export function imageNameOfExport(exportName: string): string | null {
  if (exportName === '') return defaultExportImage
  return isImageName(exportName) ? exportName : null
}

/** The export of an image; null: there is none. */
export function exportOfImageName(key: string): string | null {
  if (key === defaultExportImage) return ''
  return isImageName(key) ? key : null
}

/** The image of the one export of a URL: the last part of its name. */
export function imageNameOfOne(exportName: string): string {
  return imageNameOfExport(exportName.slice(exportName.lastIndexOf('/') + 1)) ?? defaultExportImage
}

/** A version: NBD has none of its own, so that it is the size, the name, and the digest that was configured. */
export function nbdValidatorOf(exportName: string, sizeBytes: number, digest: Digest | null): string {
  const place = `${sizeBytes}-${encodeURIComponent(exportName)}`
  return digest === null ? place : `${place}-${digest.algorithm}-${digest.hex}`
}
