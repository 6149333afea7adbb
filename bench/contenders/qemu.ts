/**
 * qemu-storage-daemon: a qcow2 overlay that keeps what is read of a backing image behind HTTP, exported through FUSE.
 */
import { execFile } from 'node:child_process'
import { access, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { allLives, type Contender, type Place, programs, type Running } from './contender.ts'
import { show } from './process.ts'

/** Source: qemu-storage-daemon(1), qemu-block-drivers(7). */
export const qemu: Contender = {
  name: 'qemu-storage-daemon',
  lives: allLives,
  missing: programs('qemu-storage-daemon', 'qemu-img'),
  start: startQemu,
}

async function startQemu({ directory, originUrl, imageName, imagePath }: Place): Promise<Running> {
  const { size } = await stat(imagePath)
  const [overlay, path] = [join(directory, 'overlay.qcow2'), join(directory, 'mnt', 'image')]
  await mkdir(join(directory, 'mnt'), { recursive: true })
  const isNew = await access(overlay).then(
    () => false,
    () => true,
  )
  if (isNew) await promisify(execFile)('qemu-img', ['create', '-q', '-f', 'qcow2', overlay, String(size)])
  await writeFile(path, '')
  const far = { driver: 'http', url: `${originUrl}${imageName}`, 'node-name': 'far', 'read-only': true }
  const backing = { driver: 'raw', file: 'far', 'node-name': 'backing', 'read-only': true }
  const top = { driver: 'qcow2', file: { driver: 'file', filename: overlay }, backing: 'backing', 'node-name': 'top' }
  const kept = { driver: 'copy-on-read', file: 'top', 'node-name': 'kept' }
  const blocks = [far, backing, top, kept].flatMap(node => ['--blockdev', JSON.stringify(node)])
  const shown = { type: 'fuse', id: 'shown', 'node-name': 'kept', mountpoint: path, writable: false }
  const words = [...blocks, '--export', JSON.stringify(shown)]
  return show('qemu-storage-daemon', words, { path, sizeBytes: size, mountpoint: path, endsItself: true })
}
