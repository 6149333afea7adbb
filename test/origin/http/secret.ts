/** Secrets from files, variables and programs. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { secretBytesMax, secretFileMs } from '../../../src/origin/http/limits.ts'
import { Secret, type SecretSource } from '../../../src/origin/http/secret.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { run } from '../../fixtures/run.ts'

/** A secret with a clock that the test turns. */
function secretOf(source: SecretSource, environment = {}, commandMsMax = 20_000) {
  const logger = keepingLogger()
  const clock = { ms: 0 }
  return {
    secret: new Secret(source, { logger, now: () => clock.ms, environment, commandMsMax }),
    clock,
    lines: logger.lines,
  }
}

function fileOf(t: Test, text: string | Buffer, mode = 0o600): string {
  const file = join(t.testdir(), 'secret')
  writeFileSync(file, text, { mode })
  chmodSync(file, mode)
  return file
}

t.test('a file is read again when it may have changed, and is kept when it has gone', async t => {
  const file = fileOf(t, 'one\n')
  const { secret, clock, lines } = secretOf({ file })
  t.equal(await secret.value(), 'one')
  writeFileSync(file, 'two\n')
  clock.ms = secretFileMs - 1
  t.equal(await secret.value(), 'one')
  clock.ms = secretFileMs
  t.equal(await secret.value(), 'two')
  writeFileSync(file, '')
  for (clock.ms of [2 * secretFileMs, 3 * secretFileMs]) t.equal(await secret.value(), 'two')
  t.equal(lines.length, 1, 'said once')
  t.match(lines[0], { level: 'warn', message: /secret from file .*it is empty; the one of before is used/ })
  writeFileSync(file, 'three')
  t.equal(await secret.renew(), 'three')
})

t.test('a file that others can read is refused, one that its group can read is mentioned', async t => {
  const file = fileOf(t, 's3cret')
  for (const mode of [0o604, 0o601, 0o620, 0o602, 0o666]) {
    chmodSync(file, mode)
    await t.rejects(
      secretOf({ file }).secret.value(),
      { code: 'access-denied', message: /chmod 600/ },
      mode.toString(8),
    )
  }
  chmodSync(file, 0o640)
  const { secret, clock, lines } = secretOf({ file })
  t.equal(await secret.value(), 's3cret')
  clock.ms = secretFileMs
  await secret.value()
  t.equal(lines.length, 1)
  t.match(lines[0], { message: /can be read by its group/ })
})

t.test('what is no line of text is refused, and not repeated', async t => {
  const longest = 'x'.repeat(secretBytesMax)
  t.equal(await secretOf({ file: fileOf(t, longest) }).secret.value(), longest)
  const cases: [string, RegExp][] = [
    [`${longest}y`, /longer than 8192 bytes/],
    ['top\nsecret', /not one line/],
    ['top\r\n\r\n', /not one line/],
    ['top\0secret', /not one line/],
    ['\n', /it is empty/],
  ]
  for (const [text, message] of cases) {
    const rejected = secretOf({ file: fileOf(t, text) }).secret.value()
    await t.rejects(rejected, { code: 'access-denied', message })
    t.notMatch(await rejected.catch(String), /top|xxx/)
  }
  const directory = join(t.testdir(), 'd')
  mkdirSync(directory)
  await t.rejects(secretOf({ file: directory }).secret.value(), { message: /not a regular file/ })
  await run('mkfifo', '-m', '600', join(directory, 'pipe'))
  await t.rejects(secretOf({ file: join(directory, 'pipe') }).secret.value(), { message: /not a regular file/ })
  await t.rejects(secretOf({ file: join(directory, 'missing') }).secret.value(), { message: /ENOENT/ })
})

t.test('a variable of the environment', async t => {
  t.equal(await secretOf({ env: 'TOKEN' }, { TOKEN: 'abc' }).secret.value(), 'abc')
  await t.rejects(secretOf({ env: 'TOKEN' }).secret.value(), { code: 'access-denied', message: /TOKEN.*not set/ })
})

t.test('a program says it, is asked again after its time, and by many at once only once', async t => {
  const file = join(t.testdir(), 'calls')
  const script = `echo call >> ${file}; echo "secret $(wc -l < ${file})"`
  const { secret, clock } = secretOf({ command: ['/bin/sh', '-c', script], refresh: 60_000 })
  t.same(await Promise.all([secret.value(), secret.value(), secret.value()]), ['secret 1', 'secret 1', 'secret 1'])
  clock.ms = 59_999
  t.equal(await secret.value(), 'secret 1')
  clock.ms = 60_000
  t.equal(await secret.value(), 'secret 2')
})

t.test('a program that fails, hangs or says too much is refused, and its words are not repeated', async t => {
  const failing =
    (script: string, ms = 20_000) =>
    () =>
      secretOf({ command: ['/bin/sh', '-c', script], refresh: 1000 }, {}, ms).secret.value()
  const cases: [() => Promise<string>, RegExp][] = [
    [failing('echo s3cret; echo s3cret >&2; exit 3'), /command \/bin\/sh is not usable: it ended with 3$/],
    [failing('echo s3cret; sleep 5', 300), /took longer than 300 ms/],
    // A process that it started holds its output open.
    [failing('sleep 5 & sleep 5', 300), /took longer than 300 ms/],
    [failing('head -c 10000 /dev/zero'), /wrote more than 8192 bytes/],
    [failing('true'), /it is empty/],
    [() => secretOf({ command: ['/no/such/program'], refresh: 1000 }).secret.value(), /ENOENT/],
  ]
  for (const [ask, message] of cases) {
    const rejected = ask()
    await t.rejects(rejected, { code: 'access-denied', message })
    t.notMatch(await rejected.catch(String), /s3cret/)
  }
})

t.test('no shell reads the arguments of a program', async t => {
  const { secret } = secretOf({ command: ['/bin/echo', '$(id)', ';', '`id`'], refresh: 1000 })
  t.equal(await secret.value(), '$(id) ; `id`')
})
