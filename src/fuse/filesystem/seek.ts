/**
 * lseek for data and holes: walks the extents of an image until one of the wanted kind comes.
 *
 * An extent counts as data unless it is known to be a hole, because a false hole makes `cp` and `qemu-img convert`
 * write zeros in its place. The end of the file counts as a hole.
 */
import type { Image } from '../../base/image.ts'
import type { Backend, BackendOptions } from './backend.ts'
import { FsError } from './fs-error.ts'

export type SeekTarget = 'data' | 'hole'

/**
 * The first offset at or after `offset` that lies in data, or in a hole.
 * @throws Refusal past-the-end when `offset` is at or past the end, or no data follows; CacheError as `extentAt`
 */
export async function seek(
  backend: Pick<Backend, 'extentAt'>,
  image: Image,
  offset: number,
  target: SeekTarget,
  options: BackendOptions,
): Promise<number> {
  if (!(offset >= 0 && offset < image.sizeBytes)) throw new FsError('past-the-end')
  for (let at = offset; at < image.sizeBytes; ) {
    const extent = await backend.extentAt(image, at, options)
    if (extent.hole === (target === 'hole')) return at
    if (!(extent.end > at)) throw new Error(`the extent at ${at} of ${image.key} ends at ${extent.end}`)
    at = extent.end
  }
  if (target === 'hole') return image.sizeBytes
  throw new FsError('past-the-end', `only a hole follows ${offset} in ${image.key}`)
}
