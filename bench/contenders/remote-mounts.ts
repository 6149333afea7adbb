/** rclone and s3fs: mounts of a remote directory with a cache of files on the local disk. */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { allLives, bucketName, type Contender, type Place, programs, type Running } from './contender.ts'
import { show } from './process.ts'

/** Source: rclone(1), section on the VFS file caching of `rclone mount`. */
export const rclone: Contender = {
  name: 'rclone',
  lives: allLives,
  missing: programs('rclone', 'fusermount3'),
  start: place => startMount(place, 'rclone', rcloneArguments(place)),
}

/** Chunks of 128 KiB, and no more ahead than that: what a reader of small pieces would choose. */
export const rcloneTuned: Contender = {
  ...rclone,
  name: 'rclone tuned',
  start: place =>
    startMount(place, 'rclone', [
      ...rcloneArguments(place),
      '--vfs-read-chunk-size=128k',
      '--vfs-read-chunk-size-limit=128k',
      '--buffer-size=0',
    ]),
}

/** A public bucket; its cache is a directory of sparse files. Source: s3fs(1). */
export const s3fs: Contender = {
  name: 's3fs',
  lives: allLives,
  missing: programs('s3fs', 'fusermount3'),
  start: place =>
    startMount(place, 's3fs', [
      bucketName,
      join(place.directory, 'mnt'),
      '-f',
      '-o',
      `url=${place.originUrl.replace(/\/$/, '')},use_path_request_style,public_bucket=1,ro,use_cache=${join(place.directory, 'cache')}`,
    ]),
}

function rcloneArguments({ directory, originUrl }: Place): string[] {
  const mode = ['--read-only', '--vfs-cache-mode=full', `--cache-dir=${join(directory, 'cache')}`]
  return ['mount', ':http:', join(directory, 'mnt'), `--http-url=${originUrl}`, '--config=/dev/null', ...mode]
}

async function startMount({ directory, imageName, imagePath }: Place, file: string, args: string[]): Promise<Running> {
  const mountpoint = join(directory, 'mnt')
  for (const each of ['mnt', 'cache']) await mkdir(join(directory, each), { recursive: true })
  const { size } = await stat(imagePath)
  return show(file, args, { path: join(mountpoint, imageName), sizeBytes: size, mountpoint })
}
