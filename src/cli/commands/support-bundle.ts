/**
 * `parentfs support-bundle`: one archive with the status, the metrics, the end of the log, the configuration without
 * its secrets, and facts of the host. A part that cannot be had is named in it with the reason.
 */
import {
  closeSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { fetchMetrics, fetchStatus } from '../../admin/admin-client.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { readConfigurationFile } from '../../daemon/config/configuration-file.ts'
import { readVersion } from '../../daemon/config/version.ts'
import { say } from '../output/terminal-output.ts'
import { checkHost } from './check-host.ts'
import { bundleLogBytesMax, bundlePartMsMax, diskProbeMsMax } from './limits.ts'
import { redactSettings, redactText } from './redact.ts'
import { runProgram } from './run-program.ts'
import { findMount } from './target.ts'

/** One file of the archive. */
interface Part {
  readonly name: string
  read(): Promise<string>
}

/** Null: there is none. */
interface Places {
  readonly config: string | null
  readonly log: string | null
}

/**
 * @param path null: the only mount
 * @param output null: a name with the time, in the working directory
 * @returns the exit code
 * @throws CacheError not-found, invalid-argument, store-failed
 */
export async function supportBundle(path: string | null, output: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const status = await within(fetchStatus(socket)).catch(() => null)
  const places = { config: status?.configFile ?? null, log: status?.logFile ?? null }
  const pids = status === null ? [] : [status.supervisorPid, status.pid]
  const name = `parentfs-support-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}`
  const archive = resolve(output ?? `${name}.tar.gz`)
  makeArchive(archive)
  const parts = [...partsOf(socket, places), ...hostParts(mountpoint, pids)]
  const top = mkdtempSync(join(tmpdir(), 'parentfs-support-'))
  try {
    const directory = join(top, name)
    mkdirSync(directory)
    const missing: string[] = []
    for (const part of parts) {
      try {
        writeFileSync(join(directory, part.name), redactText(await within(part.read())))
      } catch (error) {
        missing.push(`${part.name}: ${redactText(messageOf(error))}`)
      }
    }
    const about = [
      `parentfs ${readVersion()}, Node.js ${process.version}, ${mountpoint}`,
      ...missing.map(line => `missing: ${line}`),
    ]
    writeFileSync(join(directory, 'README.txt'), `${about.join('\n')}\n`)
    const packed = await runProgram('tar', ['-czf', archive, '-C', top, name], diskProbeMsMax)
    if (packed.code !== 0) throw new CacheError('store-failed', `${archive}: ${packed.stderr.trim()}`)
  } finally {
    rmSync(top, { recursive: true, force: true })
  }
  say(`${archive} is written: ${parts.length} parts. Look through it before you send it.`)
  return 0
}

/** Made before the work, which may take a while: for its owner's eyes alone. @throws CacheError invalid-argument */
function makeArchive(archive: string): void {
  try {
    const fd = openSync(archive, 'w', 0o600)
    fchmodSync(fd, 0o600) // It may have been there.
    closeSync(fd)
  } catch (cause) {
    const message = `${archive} cannot be written: ${messageOf(cause)}: give another path with --output`
    throw new CacheError('invalid-argument', message, { cause })
  }
}

function partsOf(socket: string, { config, log }: Places): Part[] {
  const nothing = (what: string) => new CacheError('not-found', what)
  return [
    {
      name: 'status.json',
      read: async () => {
        const status = await fetchStatus(socket)
        if (!status) throw nothing('no daemon answers')
        return JSON.stringify(redactSettings(status), null, 2)
      },
    },
    {
      name: 'metrics.txt',
      read: async () => {
        const metrics = await fetchMetrics(socket)
        if (metrics === null) throw nothing('no daemon answers')
        return metrics
      },
    },
    {
      name: 'configuration.yaml',
      read: async () => {
        if (config === null) throw nothing('the mount was started without --config')
        return stringify(redactSettings((await readConfigurationFile(config)).document))
      },
    },
    {
      name: 'log.txt',
      read: async () => {
        if (log === null) throw nothing('the log goes to standard error: see "journalctl -u parentfs@NAME"')
        return endOf(log)
      },
    },
  ]
}

function hostParts(mountpoint: string, pids: readonly number[]): Part[] {
  const text = (path: string) => readFileSync(path, 'utf8')
  const program =
    (name: string, ...args: string[]) =>
    async () => {
      const { stdout, stderr, isMissing } = await runProgram(name, args, bundlePartMsMax)
      if (isMissing) throw new CacheError('not-found', `${name} is not installed`)
      return stdout + stderr
    }
  const isOurs = (line: string) => /parentfs/.test(line) || line.includes(` ${mountpoint} `)
  return [
    { name: 'doctor.json', read: async () => JSON.stringify(checkHost(mountpoint), null, 2) },
    {
      name: 'kernel.txt',
      read: async () => `${text('/proc/version')}${text('/proc/uptime')}${text('/etc/os-release')}`,
    },
    { name: 'memory.txt', read: async () => text('/proc/meminfo') },
    { name: 'mounts.txt', read: async () => `${text('/proc/self/mountinfo').split('\n').filter(isOurs).join('\n')}\n` },
    { name: 'disks.txt', read: program('df', '-l', '-T') },
    ...pids.flatMap(pid => [
      { name: `process-${pid}-status.txt`, read: async () => text(`/proc/${pid}/status`) },
      { name: `process-${pid}-limits.txt`, read: async () => text(`/proc/${pid}/limits`) },
    ]),
  ]
}

function endOf(file: string): string {
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    const bytes = Buffer.alloc(Math.min(size, bundleLogBytesMax))
    const length = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(fd)
  }
}

function within<T>(work: Promise<T>): Promise<T> {
  const late = () => new CacheError('closed', `no answer in ${bundlePartMsMax / 1000} s`)
  return withTimeout(bundlePartMsMax, work, late)
}
