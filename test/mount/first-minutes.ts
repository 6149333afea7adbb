/** The first ten minutes, and support: doctor, init, bench and support-bundle as a person calls them. */
import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  cannotMount,
  command,
  mountDaemon,
  parentfs,
  patienceMs,
  place,
  startCommand,
  stop,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { writeSample } from '../fixtures/images.ts'
import { run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const image = { seed: 8, sizeBytes: 8 * 1024 ** 2, dataShare: 1 }

interface FoundByDoctor {
  readonly subject: string
  readonly judgement: string
  readonly found: string
  readonly remedy: string
}

t.test('doctor finds what is wrong with an origin, and nothing where all is well', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const web = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => web.close())
  const ask = async (...words: string[]) => {
    const ran = await parentfs('doctor', '--cache-dir', where.cacheDirectory, '--json', ...words)
    return { code: ran.code, findings: JSON.parse(ran.stdout.toString()) as FoundByDoctor[] }
  }
  const good = await ask(web.url)
  const subjects = good.findings.map(({ subject }) => subject)
  const expected = ['kernel', 'FUSE', 'cache disk', 'Node.js', 'origin names', 'origin validators', 'origin ranges']
  for (const subject of expected) t.ok(subjects.includes(subject), subject)
  t.ok(subjects.includes('disk speed'))
  t.same(
    good.findings.filter(({ judgement }) => judgement === 'bad'),
    [],
  )
  const away = await ask('http://127.0.0.1:9/parents/')
  t.equal(away.code, 1)
  t.match(away.findings.at(-1), { subject: 'origin', judgement: 'bad', remedy: /check host and port/ })
  t.notOk(existsSync(where.cacheDirectory), 'nothing is left')
  t.match(await parentfs('doctor', 'nonsense'), { code: 1, stderr: /is not a URL/ })
})

t.test('init asks five questions, and check-config takes what it writes', options, async t => {
  const where = place(t)
  const file = join(where.top, 'etc', 'parents.yaml')
  const answer = async (lines: readonly string[], ...words: string[]) => {
    const [program, ...before] = command
    const { child, ended } = start(program, [...before, 'init', file, ...words], { stdin: 'pipe' })
    child.stdin?.end(`${lines.join('\n')}\n`)
    return ended
  }
  const hidden = join(where.mountpoint, 'cache')
  const [url, ...others] = [where.origin, where.mountpoint, hidden, where.cacheDirectory, '10 apples', '200MiB', 'wait']
  const answers = ['/not/a/url', url!, ...others]
  const made = await answer(answers)
  t.match(made, { code: 0, stderr: /is not a URL: write it like file:\/\/\/not\/a\/url[\s\S]*is not a size/ })
  t.match(made.stderr, /cache directory \S+ lies in the mountpoint/)
  t.equal(statSync(file).mode & 0o777, 0o600)
  const checked = await parentfs('check-config', file)
  t.equal(checked.code, 0)
  for (const line of [`url: ${where.origin}`, 'onOutage: wait', 'capacity: 200MiB']) t.match(`${checked.stdout}`, line)
  const refused = await answer(answers.slice(1))
  t.match(refused, { code: 1, stderr: /^parentfs: .* is there already: give another FILE, or --force\n$/ }, 'not asked')
  t.match(await answer(answers.slice(1, 2), '--force'), { code: 1, stderr: /the input ended/ })
  t.match(await answer([where.origin, '', '', '', ''], '--force'), { code: 0 }, 'defaults')
  t.match(readFileSync(file, 'utf8'), 'mountpoint: /srv/parents')
})

t.test('bench measures a mount beside the disk of its cache', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  await mountDaemon(t, where)
  const ran = await parentfs('bench', where.mountpoint, 'a.raw', '--json')
  t.equal(ran.code, 0, ran.stderr)
  const measured = JSON.parse(ran.stdout.toString()) as { name: string; of: string; iops: number }[]
  t.ok(measured.length === 6 || measured.length === 2)
  for (const { name, of, iops } of measured) t.ok(iops > 0, `${name} of the ${of}: ${iops}`)
  t.match(await parentfs('bench', '-m', where.mountpoint, 'none.raw'), { code: 1, stderr: /does not exist/ })
  t.same((await run('ls', '-A', where.top)).toString().trim().split('\n').sort(), ['cache', 'mnt', 'origin'])
})

t.test('a support bundle has what a report needs, and none of the secrets', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const secret = 'hunter2-of-the-suite'
  const web = await spawnHttpOrigin({ directory: where.originDirectory, credentials: `bob:${secret}` })
  t.teardown(() => web.close())
  const [file, log, key] = ['mount.yaml', 'log', 'key'].map(name => join(where.top, name)) as [string, string, string]
  writeFileSync(key, secret, { mode: 0o600 })
  writeFileSync(
    file,
    `mountpoint: ${where.mountpoint}
origin: {url: '${web.url}', basic: {username: bob, password: {command: [/bin/echo, -n, ${secret}]}}}
cache: {directory: ${where.cacheDirectory}, capacity: 200MiB}
log: {file: ${log}}
`,
  )
  const daemon = startCommand(t, [...command, 'mount', '--config', file])
  const said = () => existsSync(log) && /"msg":"mounted"/.test(readFileSync(log, 'utf8'))
  await until(said, patienceMs, 'the mount')
  await run('cat', join(where.mountpoint, 'a.raw'))
  appendFileSync(log, `{"msg":"asked","url":"https://bob:${secret}@host/x?sig=${secret}"}\n`)
  const nowhere = join(where.top, 'none', 'report.tar.gz')
  const refusal =
    /^parentfs: \S+none\/report.tar.gz cannot be written: no such file or directory: give another path with --output\n$/
  t.match(await parentfs('support-bundle', where.mountpoint, '--output', nowhere), { code: 1, stderr: refusal })
  const archive = join(where.top, 'report.tar.gz')
  writeFileSync(archive, 'an older one', { mode: 0o644 })
  t.match(await parentfs('support-bundle', where.mountpoint, '--output', archive), { code: 0 })
  t.equal(statSync(archive).mode & 0o777, 0o600)
  const names = (await run('tar', '-tzf', archive)).toString()
  for (const name of [
    'status.json',
    'metrics.txt',
    'configuration.yaml',
    'log.txt',
    'kernel.txt',
    'doctor.json',
    'README.txt',
  ]) {
    t.match(names, `/${name}\n`)
  }
  const text = (await run('tar', '-xzOf', archive)).toString()
  t.notMatch(text, secret)
  for (const part of [
    'parentfs_read_duration_seconds',
    '"mountpoint"',
    'capacity: 200MiB',
    '"msg":"mounted"',
    'Max open files',
  ]) {
    t.ok(text.includes(part), part)
  }
  t.equal(await stop(daemon), 0)
  const dead = join(where.top, 'dead.tar.gz')
  t.match(await parentfs('support-bundle', where.mountpoint, '--output', dead), { code: 0 }, 'of a dead mount, too')
  t.match((await run('tar', '-xzOf', dead)).toString(), /^missing: status\.json: no daemon answers$/m)
})
