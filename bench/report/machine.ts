/** Description of the machine of a result, with all versions: figures mean nothing without it. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { promisify } from 'node:util'

export interface Machine {
  readonly processor: string
  readonly processors: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly system: string
  /** Of the last minute, when it began: other work on the machine. */
  readonly load: number
  readonly versions: Readonly<Record<string, string>>
}

const programs: Readonly<Record<string, readonly string[]>> = {
  fio: ['fio', '--version'],
  nbdkit: ['nbdkit', '--version'],
  'qemu-storage-daemon': ['qemu-storage-daemon', '--version'],
  rclone: ['rclone', 'version'],
  s3fs: ['s3fs', '--version'],
}

export async function describeMachine(parentfsVersion: string): Promise<Machine> {
  const os = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const versions: Record<string, string> = { parentfs: parentfsVersion, node: process.version }
  for (const [name, [file, ...args]] of Object.entries(programs)) {
    const said = await promisify(execFile)(file!, args).catch(() => null)
    if (said) versions[name] = said.stdout.split('\n')[0]!.trim()
  }
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    processors: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(os)?.[1] ?? 'unknown',
    load: loadavg()[0]!,
    versions,
  }
}
