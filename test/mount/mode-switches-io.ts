/** A boot and fio --verify on a mount whose modes are switched: neither sees an error or another byte. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readReplay, writeTouched } from '../../bench/replay/trace.ts'
import { cannotMount, mountDaemon, parentfs, patienceMs, place, statusOf, transport } from '../fixtures/daemon.ts'
import { readWithFio, writeVerified } from '../fixtures/fio.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount || (transport === 'kernel' ? false : 'it is the same code over fuse-native') }
const MiB = 1024 ** 2
const fioBytes = 8 * MiB
const modes = ['proxy', 'none', 'promote', 'forward', 'none', 'forward', 'promote', 'proxy', 'forward', 'promote']

t.test('a boot and fio go on while modes are switched', options, async t => {
  const where = place(t)
  const reads = await readReplay(join('bench', 'traces', 'debian-12-xfs.txt.gz'))
  const source = join(where.originDirectory, 'boot.raw')
  await writeTouched(source, reads)
  await writeVerified(join(where.originDirectory, 'fio.raw'), fioBytes)
  await mountDaemon(t, where, '--block-size', '4KiB', '--capacity', `${96 * MiB}`)
  const truth = await open(source)
  t.teardown(() => truth.close())
  const seen = { boots: 0, reads: 0, wrong: 0, fio: 0 }
  let isOver = false
  /** One after the other, each with an open of its own: opens are where a mode takes another way. */
  const boots = async (how: 'direct' | 'buffered') => {
    while (!isOver || seen.boots < 2) {
      const image = await MountedFile.open(t, where.mountpoint, 'boot.raw')
      for (const { offset, length } of reads) {
        if (isOver && seen.boots >= 2) break
        const { buffer } = await truth.read(Buffer.alloc(length), 0, length, offset)
        if (!(await image.read({ offset, length }, how)).equals(buffer)) seen.wrong++
        seen.reads++
      }
      await image.close()
      seen.boots++
    }
  }
  const fio = async (direct: boolean) => {
    while (!isOver) {
      const way = { engine: direct ? 'libaio' : 'psync', direct, depth: 4, jobs: 1 } as const
      const { code, error, stderr } = await readWithFio(join(where.mountpoint, 'fio.raw'), fioBytes, way)
      t.match({ code, error, stderr }, { code: 0, error: 0, stderr: '' })
      seen.fio++
    }
  }
  const all = Promise.all([boots('direct'), boots('buffered'), fio(true), fio(false)])
  for (const [round, mode] of modes.entries()) {
    const before = { ...seen }
    const of = round % 3 === 2 ? ['fio.raw'] : []
    t.match(await parentfs('mode', mode, ...of, '-m', where.mountpoint), { code: 0, stderr: '' })
    await until(() => seen.fio > before.fio && seen.reads > before.reads + 100, patienceMs, `reads in ${mode}`)
    // An open file stays what it was: only opens since then are sent to that of the origin.
    const isForwarded = async () => (await statusOf(where)).forwarding.opens > 0
    if (mode === 'forward') await until(isForwarded, patienceMs, 'an open that is forwarded')
  }
  const { forwarding } = await statusOf(where)
  isOver = true
  await all
  t.equal(seen.wrong, 0, `${seen.reads} reads of ${seen.boots} boots, ${seen.fio} runs of fio`)
  t.ok(forwarding.opens > 0, 'some were sent to the file of the origin')
})
