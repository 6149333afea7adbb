/** Descriptors that a service manager holds for the next supervisor, and their adoption. */
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { noTakeovers } from '../../../src/daemon/ipc/messages.ts'
import { DescriptorStore, type KeptState, takeHanded } from '../../../src/daemon/supervisor/descriptor-store.ts'
import { makeAnonymousFile } from '../../../src/daemon/supervisor/inflight-journal-file.ts'
import { negotiated } from '../../fixtures/fake-worker.ts'

const state: KeptState = {
  settings: { mountpoint: '/mnt' } as Settings,
  negotiated,
  device: '0:99',
  directory: null,
  takeovers: noTakeovers,
}
const fuse = 77

/** A manager that hears everything, and no more than `holdsMax` datagrams to hold something. */
function setUp(t: Test, names: readonly string[], holdsMax = Infinity) {
  const done: string[] = []
  let holds = 0
  const manager = {
    hold: (name: string, fd: number) => {
      if (++holds > holdsMax) return false
      done.push(`hold ${name}${fd === fuse ? ' fuse' : ''}`)
      return true
    },
    drop: (name: string) => void done.push(`drop ${name}`),
  }
  const closed: number[] = []
  const closeFd = (fd: number) => {
    closed.push(fd)
    closeSync(fd)
  }
  let made = 0
  let isFull = false
  const makeFile = () => {
    if (isFull) throw new Error('no space')
    return makeAnonymousFile(join(t.testdirName, `file-${made++}`))
  }
  t.testdir()
  const marks: boolean[] = []
  const fail = () => {
    isFull = true
  }
  return {
    store: new DescriptorStore(
      { manager, makeFile, closeFd, mark: held => void marks.push(held), logger: silentLogger },
      names,
    ),
    done,
    closed,
    fail,
    marks,
  }
}

t.test('the state is held before the descriptor, and the next one before the last is dropped', async t => {
  const { store, done, closed, marks } = setUp(t, [])
  store.hold(fuse, state)
  store.hold(fuse, state)
  t.ok(store.isHeld)
  t.same(done.splice(0), ['hold state-1', 'hold fuse fuse', 'hold state-2', 'drop state-1'])
  t.equal(closed.length, 2, 'the files are the manager’s alone')
  store.drop()
  store.drop()
  t.notOk(store.isHeld)
  t.same(done, ['drop fuse', 'drop state-2'])
  t.same(marks, [true, true, false, false], 'who looks for a supervisor knows')
})

t.test('what an earlier supervisor had is gone on with', async t => {
  const { store, done } = setUp(t, ['fuse', 'state-7', 'state-8'])
  t.ok(store.isHeld, 'before it has said anything')
  store.hold(fuse, state)
  t.same(done, ['drop state-7', 'hold state-9', 'drop state-8'])
})

t.test('a manager that cannot be told holds nothing that counts', async t => {
  for (const holdsMax of [0, 1]) {
    const { store } = setUp(t, [], holdsMax)
    store.hold(fuse, state)
    t.notOk(store.isHeld, `${holdsMax} of 2`)
  }
})

t.test('what was held last counts where nothing new can be told', async t => {
  const { store, done, fail } = setUp(t, ['fuse', 'state-7'])
  fail()
  store.hold(fuse, state)
  t.ok(store.isHeld)
  t.same(done, [])
})

/** Have the files open, one after the other, whatever else this process has open. @returns the first descriptor */
function handOver(t: Test, files: readonly (readonly [name: string, text: string])[], top: string): number {
  const paths = files.map(([name, text]) => {
    writeFileSync(join(top, name), text)
    return join(top, name)
  })
  for (;;) {
    const fds = paths.map(path => openSync(path, 'r'))
    t.teardown(() => {
      for (const fd of fds) closeSync(fd)
    })
    if (fds.every((fd, at) => fd === fds[0]! + at)) return fds[0]!
  }
}

/** Files of these contents as a manager hands them over; `fuse` is empty. @returns also those that were closed */
function hand(t: Test, files: readonly (readonly [name: string, text: string])[], isConnected = true) {
  const top = t.testdir()
  const closed: string[] = []
  const firstFd = handOver(t, files, top)
  const environment: NodeJS.ProcessEnv = {
    LISTEN_PID: '7',
    LISTEN_FDS: `${files.length}`,
    LISTEN_FDNAMES: files.map(([name]) => name).join(':'),
    PATH: '/bin',
  }
  const addon = {
    isFuseConnected: () => isConnected,
    closeFd: (fd: number) => void closed.push(files[fd - firstFd]![0]),
  }
  const handed = takeHanded({ environment, pid: 7, firstFd }, addon)
  return { handed, closed, environment }
}

const stateText = (what: Partial<KeptState> = {}) => JSON.stringify({ version: 1, state: { ...state, ...what } })

t.test('the last state counts, and the variables are for nobody else', async t => {
  const later = stateText({ device: '0:100' })
  const { handed, closed, environment } = hand(t, [
    ['fuse', ''],
    ['elsewhere', ''],
    ['state-10', later],
    ['state-9', stateText()],
  ])
  t.equal(handed.mount?.state.device, '0:100')
  t.same(handed.names, ['fuse', 'state-10', 'state-9'])
  t.same(closed, ['state-10', 'state-9'])
  t.same(environment, { PATH: '/bin' })
})

t.test('a mount that has gone, or of which too little is known, is let go', async t => {
  const cases: [string, readonly (readonly [string, string])[], boolean][] = [
    [
      'not connected',
      [
        ['fuse', ''],
        ['state-1', stateText()],
      ],
      false,
    ],
    ['no state', [['fuse', '']], true],
    [
      'half a state',
      [
        ['fuse', ''],
        ['state-1', stateText().slice(0, 50)],
      ],
      true,
    ],
    [
      'another form',
      [
        ['fuse', ''],
        ['state-1', JSON.stringify({ version: 2, state })],
      ],
      true,
    ],
  ]
  for (const [what, files, isConnected] of cases) {
    const { handed, closed } = hand(t, files, isConnected)
    t.equal(handed.mount, null, what)
    t.ok(closed.includes('fuse'), what)
    t.ok(handed.names.includes('fuse'), what)
  }
})

const librbd = { socket: '/run/s', directory: '/run/s.objects', device: '0:101', negotiated }
const ofLibrbd = ['librbd-view', 'librbd-listener', 'librbd-3-17', 'librbd-journal', 'librbd-4095-123456'].map(
  name => [name, ''] as const,
)

t.test('librbd is gone on with where all of it is there', async t => {
  const all = [['fuse', ''], ...ofLibrbd, ['state-1', stateText({ librbd })]] as const
  const { handed, closed } = hand(t, all)
  const [first] = [handed.mount!.fd]
  t.match(handed.librbd, { state: librbd, view: first + 1, listener: first + 2, journal: first + 4 })
  t.same(handed.librbd?.connections, [
    { fd: first + 3, slot: 3, number: 17 },
    { fd: first + 5, slot: 4095, number: 123456 },
  ])
  t.same([handed.unused, closed], [[], ['state-1']])
})

t.test('librbd without a part of it, without a state or without a mount is let go', async t => {
  const names = ofLibrbd.map(([name]) => name)
  for (const part of ['librbd-view', 'librbd-listener', 'librbd-journal', 'state', 'mount']) {
    const rest = ofLibrbd.filter(([name]) => name !== part)
    const mount = part === 'mount' ? [] : [['fuse', ''] as const]
    const said = ['state-1', stateText(part === 'state' ? {} : { librbd })] as const
    const { handed, closed } = hand(t, [...mount, ...rest, said])
    t.equal(handed.librbd, null, part)
    t.equal(handed.mount === null, part === 'mount', part)
    t.same(
      handed.unused,
      names.filter(name => name !== part),
      part,
    )
    t.same(closed, ['state-1', ...handed.unused], part)
  }
})

t.test('librbd counts as held when the state says so', async t => {
  const { store, fail } = setUp(t, [])
  store.hold(fuse, state)
  t.notOk(store.isLibrbdHeld)
  store.hold(fuse, { ...state, librbd })
  t.ok(store.isLibrbdHeld)
  fail()
  store.hold(fuse, { ...state, librbd: null })
  t.ok(store.isLibrbdHeld, 'the earlier state is held still')
  const next = setUp(t, ['fuse', 'state-7']).store
  t.notOk(next.isLibrbdHeld)
})

t.test('what is meant for another process is left alone', async t => {
  const environment: NodeJS.ProcessEnv = { LISTEN_PID: '8', LISTEN_FDS: '1', LISTEN_FDNAMES: 'fuse' }
  const unexpected = () => t.fail('touched')
  const addon = { isFuseConnected: () => true, closeFd: unexpected }
  const nothing = { mount: null, names: [], librbd: null, unused: [] }
  t.same(takeHanded({ environment, pid: 7, firstFd: 3 }, addon), nothing)
  t.same(takeHanded({ environment: {}, pid: 7, firstFd: 3 }, addon), nothing)
})
