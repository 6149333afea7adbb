/** parentfs itself, by the real command. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Status } from '../../src/admin/status.ts'
import type { LifeKind } from '../compare/samples.ts'
import { parentfs as command } from '../demo/command.ts'
import type { Contender, Place, Running } from './contender.ts'
import { unmountLazily } from './process.ts'

/** @param options of `parentfs mount`, besides the origin, the mountpoint and the cache directory */
export function parentfsContender(name: string, lives: readonly LifeKind[], ...options: readonly string[]): Contender {
  return { name, lives, missing: async () => null, start: place => startParentfs(place, options) }
}

/** A boot with `cache.readAround` set. */
export function readAround(value: string): Contender {
  const configure = (url: string, directory: string) =>
    `origin: { url: "${url}" }\ncache: { directory: "${directory}", capacity: 4GiB, readAround: ${value} }\n`
  return {
    name: `parentfs ${value}`,
    lives: ['boot'],
    missing: async () => {
      const home = await mkdtemp(join(tmpdir(), 'parentfs-compare-'))
      const config = join(home, 'parentfs.yaml')
      await writeFile(config, configure('http://127.0.0.1:1/', join(home, 'cache')))
      const reason = await command('check-config', config).then(() => null, String)
      await rm(home, { recursive: true })
      return reason === null ? null : 'this version has no setting cache.readAround'
    },
    start: async place => {
      const config = join(place.directory, 'parentfs.yaml')
      await writeFile(config, configure(place.originUrl, join(place.directory, 'cache')))
      return startParentfs(place, ['--config', config])
    },
  }
}

/** A boot with a profile of an earlier one, which is imported before it begins. */
export const profileImported: Contender = {
  name: 'parentfs profile imported',
  lives: ['boot'],
  missing: async () => null,
  start: async place => {
    const running = await startParentfs(place, [])
    await command('profile', 'import', running.path, await profileFile(place))
    return running
  },
}

/** The same, with the profile beside the image at the origin. */
export const profilePublished: Contender = {
  name: 'parentfs profile published',
  lives: ['boot'],
  missing: async () => {
    const help = await command('profile', '--help')
    return help.includes('record') ? null : 'this version asks for no published profile'
  },
  start: async place => {
    const published = `${place.imagePath}.parentfs-profile`
    await copyFile(await profileFile(place), published)
    const withdraw = () => rm(published, { force: true })
    const running = await startParentfs(place, []).catch(async error => {
      await withdraw()
      throw error
    })
    return {
      ...running,
      stop: () => running.stop().finally(withdraw),
      kill: () => running.kill().finally(withdraw),
    }
  },
}

async function profileFile({ directory, profile }: Place): Promise<string> {
  if (profile === null) throw new Error('no profile was recorded')
  const file = join(directory, 'profile.json')
  await writeFile(file, profile)
  return file
}

/** Start it, work, and stop it. */
export async function withParentfs<T>(
  place: Omit<Place, 'profile'>,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const running = await startParentfs(place, [])
  try {
    return await work(running)
  } finally {
    await running.stop()
  }
}

/** @param options of `parentfs mount`; with --config the file names the origin and the cache directory */
export async function startParentfs(
  place: Omit<Place, 'profile'>,
  options: readonly string[],
): Promise<Running & { status(): Promise<Status> }> {
  const { directory, originUrl, imageName } = place
  const mountpoint = join(directory, 'mnt')
  await mkdir(mountpoint, { recursive: true })
  const cache = ['--cache-dir', join(directory, 'cache'), '--capacity', '4GiB']
  const places = options.includes('--config') ? [mountpoint] : [originUrl, mountpoint, ...cache]
  await command('mount', ...places, ...options, '--background')
  const status = async () => JSON.parse(await command('status', mountpoint, '--json')) as Status
  const { pid, supervisorPid } = await status()
  return {
    path: join(mountpoint, imageName),
    pids: () => [pid, supervisorPid],
    stop: async () => {
      await command('unmount', mountpoint)
    },
    kill: async () => {
      await command('unmount', mountpoint, '--force').catch(() => unmountLazily(mountpoint))
    },
    status,
  }
}
