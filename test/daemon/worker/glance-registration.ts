/** Copies that are registered at the image service: complete ones, until they are evicted; refusals are said once. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { GlanceRegistration, type Registration } from '../../../src/daemon/worker/glance-registration.ts'
import { registrationRefusedMs, registrationsPerTurn } from '../../../src/daemon/worker/limits.ts'
import { RegistrationsFile } from '../../../src/daemon/worker/registrations-file.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

function imageOf(key: string, origin = 'glance://o/'): Image {
  return identify({ origin, key, sizeBytes: 9, validator: `${key} sha512:0`, modifiedMs: 0 })
}

function registrationOf(t: Test, kept: readonly Registration[] = []) {
  const state = {
    place: 'https://h:1' as string | null,
    copies: [] as Image[],
    nowMs: 0,
    failure: null as Error | null,
  }
  const urls = new Set<string>()
  const asked: string[] = []
  let keptNow = kept
  const logger = keepingLogger()
  const change = (what: 'add' | 'delete') => async (_: Image, url: string) => {
    asked.push(`${what} ${url}`)
    if (state.failure) throw state.failure
    urls[what](url)
  }
  const registration = new GlanceRegistration({
    kept: {
      read: async () => kept,
      keep: registrations => {
        keptNow = registrations
      },
    },
    logger,
    now: () => state.nowMs,
    place: () => state.place,
    copies: () => state.copies,
    registrarOf: ({ origin }) => (origin === 'glance://o/' ? { add: change('add'), remove: change('delete') } : null),
  })
  t.teardown(() => registration.close())
  return { registration, state, urls, asked, logger, keptNow: () => keptNow }
}

const urlOf = ({ id }: Image) => `https://h:1/v1/image/${id}`

t.test('a complete copy is registered, and not any more once it is evicted', async t => {
  const { registration, state, urls, asked, keptNow } = registrationOf(t)
  const [a, b] = [imageOf('a'), imageOf('b')]
  state.copies = [a, b, imageOf('c', 'https://o/')]
  await registration.turn()
  await registration.turn()
  t.same([...urls], [urlOf(a), urlOf(b)])
  t.equal(asked.length, 2, 'once each')
  state.copies = [b]
  await registration.turn()
  t.same([...urls], [urlOf(b)])
  t.match(keptNow(), [{ url: urlOf(b) }])
  state.place = null
  await registration.turn()
  t.same([...urls], [], 'the setting was taken back')
  t.match(registration.counters, { registered: 0, added: 2, removed: 2, refused: 0 })
})

t.test('what an earlier process has registered is removed; an address that moved is another URL', async t => {
  const [a, b] = [imageOf('a'), imageOf('b')]
  const { registration, state, asked } = registrationOf(t, [
    { image: a, url: urlOf(a) },
    { image: b, url: 'https://old:1/x' },
  ])
  state.copies = [b]
  await registration.turn()
  t.same(asked, [`delete ${urlOf(a)}`, 'delete https://old:1/x', `add ${urlOf(b)}`])
})

t.test('a service that forbids it is said once and asked much later; one that is away is asked again', async t => {
  const { registration, state, asked, logger, urls } = registrationOf(t)
  state.copies = [imageOf('a'), imageOf('b')]
  state.failure = new CacheError('access-denied', 'forbidden')
  await registration.turn()
  await registration.turn()
  t.equal(asked.length, 2)
  t.equal(logger.lines.filter(({ level }) => level === 'warn').length, 1)
  t.equal(registration.counters.refused, 2)
  state.nowMs = registrationRefusedMs
  state.failure = new CacheError('origin-unreachable', 'away')
  await registration.turn()
  state.failure = null
  await registration.turn()
  t.equal(urls.size, 2)
})

t.test('a turn changes as many as its bound says', async t => {
  const { registration, state, urls } = registrationOf(t)
  state.copies = Array.from({ length: registrationsPerTurn + 1 }, (_, k) => imageOf(`k${k}`))
  await registration.turn()
  t.equal(urls.size, registrationsPerTurn)
  await registration.turn()
  t.equal(urls.size, registrationsPerTurn + 1)
})

t.test('registrations outlast a restart; a damaged file is none', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-registrations-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'r.json')
  const file = new RegistrationsFile(path, keepingLogger())
  t.same(await file.read(), [])
  const registrations = [{ image: imageOf('a'), url: 'https://h:1/x' }]
  file.keep(registrations)
  await file.settled()
  t.same(await new RegistrationsFile(path, keepingLogger()).read(), registrations)
  for (const text of ['{', '{}', '[7, {"origin": 1}]']) {
    writeFileSync(path, text)
    t.same(await file.read(), [], text)
  }
})
