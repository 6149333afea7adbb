/** nbdkit's curl plugin under its cache filter, which keeps what was read, shown as a file by nbdfuse. */
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { allLives, type Contender, type Place, programs, type Running } from './contender.ts'
import { begin, show } from './process.ts'

/** Source: nbdkit-cache-filter(1), nbdfuse(1). Its cache is an unlinked temporary file. */
export const nbdkit: Contender = {
  name: 'nbdkit',
  lives: allLives,
  missing: programs('nbdkit', 'nbdfuse'),
  start: startNbdkit,
}

async function startNbdkit({ directory, originUrl, imageName, imagePath }: Place): Promise<Running> {
  const [socket, mountpoint] = [join(directory, 'nbd.sock'), join(directory, 'mnt')]
  await mkdir(mountpoint, { recursive: true })
  await rm(socket, { force: true }) // It stays behind when the server ends.
  const { size } = await stat(imagePath)
  const served = [
    '--foreground',
    '--readonly',
    '--unix',
    socket,
    '--filter=cache',
    'curl',
    `url=${originUrl}${imageName}`,
  ]
  const server = begin('nbdkit', [...served, 'cache-on-read=true'], { ...process.env, TMPDIR: directory })
  await server.ready(async () => (await stat(socket)).isSocket())
  const path = join(mountpoint, 'image')
  const endServer = () => server.signal('SIGKILL').catch(() => {})
  try {
    const shown = await show('nbdfuse', ['--readonly', path, '--unix', socket], { path, sizeBytes: size, mountpoint })
    return {
      path,
      pids: () => [...server.pids, ...shown.pids()],
      stop: async () => {
        await shown.stop()
        await server.signal('SIGTERM')
      },
      kill: async () => {
        await shown.kill()
        await endServer()
      },
    }
  } catch (error) {
    await endServer()
    throw error
  }
}
