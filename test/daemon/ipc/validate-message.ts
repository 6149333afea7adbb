/** Messages that a faulty or a newer process sends, in both directions. */
import t from 'tap'
import type { Settings } from '../../../src/daemon/config/settings.ts'
import { ignoredTypesMax, typeCharactersMax } from '../../../src/daemon/ipc/limits.ts'
import { noTakeovers } from '../../../src/daemon/ipc/messages.ts'
import { readerOfSupervisor, readerOfWorker } from '../../../src/daemon/ipc/validate-message.ts'

const negotiated = { minor: 45, flags: 1, flags2: 2, maxReadaheadBytes: 3 }
const settings: Settings = {
  ...{ configFile: null, mountpoint: '/mnt', cacheDirectory: null, source: 'file:///o' },
  log: { level: 'info', pretty: false, file: null },
  document: { cache: { capacity: 1 } },
}
const boot = { type: 'boot', settings, keeperPid: 7, bypass: null, indexDoubt: 'it died', isAwaited: false }
const judgement = { suspects: ['1'], poisoned: [] }
const mounted = { type: 'mounted', negotiated, judgement, kept: true }
const history = { type: 'history', takeovers: noTakeovers, kept: false }
const holders = [
  { pid: 7, command: 'cat' },
  { pid: null, command: 'a mount' },
]

/** No message in any direction. */
const never = [
  null,
  7,
  'pong',
  [],
  {},
  { type: 7 },
  { type: 'hasOwnProperty' },
  { type: '__proto__' },
  { type: 'later' },
]

function without(message: object, field: string): object {
  return Object.fromEntries(Object.entries(message).filter(([name]) => name !== field))
}

const directions = {
  'of a worker': {
    reader: readerOfWorker,
    right: [
      { type: 'pong' },
      { type: 'ready', more: 1 },
      { type: 'ended', reason: null },
      { type: 'negotiated', negotiated },
      { type: 'log-level', level: 'debug' },
      { type: 'failed', code: 'cache-locked', message: '' },
      { type: 'booted', source: 'x', allowOther: true, mounter: 'keeper', restarts: { wellMs: 1 }, addons: ['/a'] },
    ],
    wrong: [
      boot,
      { type: 'ended' },
      { type: 'ended', reason: 1 },
      { type: 'unmount', id: 1, force: 'yes' },
      { type: 'unmount', id: 0.5, force: true },
      { type: 'negotiated', negotiated: null },
      { type: 'negotiated', negotiated: { ...negotiated, flags2: '128' } },
      { type: 'log-level', level: 'loud' },
      { type: 'failed', code: 'toString', message: '' },
      { type: 'booted', source: 'x', allowOther: true, mounter: 'nobody', restarts: {}, addons: [] },
    ],
  },
  'of a supervisor': {
    reader: readerOfSupervisor,
    right: [
      boot,
      without(boot, 'indexDoubt'), // As earlier versions say it.
      without(boot, 'isAwaited'),
      { type: 'prepare', settings },
      { type: 'prepare', settings, isAwaited: true },
      history,
      { type: 'upgrade-answer', id: 1, outcome: { version: '2', refusal: null } },
      { type: 'upgrade-answer', id: 1, outcome: { version: null, refusal: { code: 'closed', message: '' } } },
      mounted,
      { ...mounted, negotiated: null, more: 1 },
      without(mounted, 'kept'),
      { type: 'mount' },
      { type: 'unmount-answer', id: 2, refusal: null },
      { type: 'unmount-answer', id: 2, refusal: { code: 'mount-busy', message: '', holders } },
      { type: 'reload', id: null, document: {} },
      { type: 'reload-failed', id: 3, code: 'invalid-argument', message: 'f:1:1: no' },
      { type: 'ping' },
      { type: 'stop' },
    ],
    wrong: [
      { type: 'pong' },
      without(boot, 'settings'),
      { ...boot, keeperPid: '7' },
      { ...boot, bypass: 1 },
      { ...boot, indexDoubt: true },
      { ...boot, isAwaited: 1 },
      ...Object.keys(settings).map(field => ({ ...boot, settings: without(settings, field) })),
      { ...boot, settings: { ...settings, log: { level: 'info' } } },
      { ...boot, settings: { ...settings, document: [] } },
      { ...mounted, negotiated: { ...negotiated, minor: null } },
      { ...mounted, judgement: { suspects: [1], poisoned: [] } },
      { ...mounted, judgement: null },
      { ...mounted, kept: 'yes' },
      { ...history, takeovers: { ...noTakeovers, count: '1' } },
      { ...history, takeovers: null },
      { type: 'upgrade-answer', id: 1, outcome: { version: null, refusal: null } },
      { type: 'upgrade-answer', id: 1, outcome: null },
      { type: 'unmount-answer', id: 2, refusal: { code: 'loud', message: '', holders } },
      { type: 'unmount-answer', id: 2, refusal: { code: 'mount-busy', message: '', holders: [{ pid: 'x' }] } },
      { type: 'reload', id: 'x', document: {} },
      { type: 'reload', id: 1, document: null },
    ],
  },
} as const

for (const [whose, { reader, right, wrong }] of Object.entries(directions)) {
  t.test(`a message ${whose} is heard if it is one`, async t => {
    const read = reader(() => {})
    for (const message of right) t.equal(read(message), message, JSON.stringify(message))
    for (const message of [...never, ...wrong]) t.equal(read(message), null, JSON.stringify(message))
  })

  t.test(`a message ${whose} that is ignored is told once for each type, up to a limit`, async t => {
    const told: string[] = []
    const read = reader((type, why) => void told.push(`${type} ${why}`))
    for (let round = 0; round < 3; round++) {
      for (const type of ['later', 'still-later']) read({ type })
      read(wrong[2])
    }
    t.same(told, ['later unknown', 'still-later unknown', `${wrong[2].type} malformed`])
    for (let k = 0; k < 2 * ignoredTypesMax; k++) read({ type: `${k}${'x'.repeat(1000)}` })
    t.equal(told.length, ignoredTypesMax)
    t.equal(told.at(-1)!.length, typeCharactersMax + ' unknown'.length)
    t.equal(read(right[0]), right[0], 'others are heard')
  })
}
