/** The commands of docs/PUBLISHING.md, run as they stand: what they publish is proven, complete and upgraded. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, command, makeComplete, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 * 1024

/** The first block of commands, with the places of a test. */
function documentedCommands(images: string): string {
  const commands = readFileSync('docs/PUBLISHING.md', 'utf8').split('```sh\n')[1]!.split('```')[0]!
  return commands.replaceAll('/srv/images', images)
}

t.test(
  'what the commands publish is served, and its next version costs what changed',
  { skip: cannotMount },
  async t => {
    const where = place(t)
    const bin = join(where.top, 'bin')
    mkdirSync(bin)
    writeFileSync(join(bin, 'parentfs'), `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`)
    chmodSync(join(bin, 'parentfs'), 0o755)
    const build = join(where.top, 'build')
    mkdirSync(build)
    const publish = async (bytes: Uint8Array, from: string) => {
      writeFileSync(join(build, 'disk.raw'), bytes)
      const commands = documentedCommands(where.originDirectory)
      const start = commands.indexOf(from)
      await run('sh', '-e', '-c', `cd ${build}; PATH=${bin}:$PATH; ${commands.slice(start)}`)
    }
    const first = Buffer.from(sampleBytes({ seed: 3, sizeBytes: 16 * MiB, dataShare: 1 }, 0, 16 * MiB))
    await publish(first, 'openssl req')
    const server = await spawnHttpOrigin({ directory: where.originDirectory })
    t.teardown(() => server.close())
    t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))
    const file = join(where.top, 'p.yaml')
    const verify = `{ verity: require, certificates: ${join(build, 'images.pem')} }`
    const origin = `{ url: "${server.url}", revalidate: 1s, verify: ${verify} }`
    const cache = `{ directory: ${where.cacheDirectory}, capacity: 200MiB }`
    writeFileSync(file, `mountpoint: ${where.mountpoint}\norigin: ${origin}\ncache: ${cache}\n`)
    t.match(await parentfs('mount', '--background', '--config', file), { code: 0 })
    const view = join(where.mountpoint, 'debian-12.raw')
    t.ok((await run('cat', view)).equals(first))
    await makeComplete(where, 'debian-12.raw')
    const before = (await statusOf(where)).origin.bytes
    const second = Buffer.from(first)
    second.set(sampleBytes({ seed: 4, sizeBytes: MiB, dataShare: 1 }, 0, MiB), 5 * MiB)
    await publish(second, 'salt=')
    await until(async () => (await run('cat', view)).equals(second), patienceMs, 'the next version')
    const share = ((await statusOf(where)).origin.bytes - before) / MiB
    t.ok(share < 1.1, `${share} of the changed bytes were fetched`)
    t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  },
)
