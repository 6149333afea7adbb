/** Arguments of mount.parentfs. */
import t from 'tap'
import { helperOptionNames, parseHelperCall } from '../../../src/cli/commands/mount-helper.ts'

const parse = (options: string, ...more: string[]) => parseHelperCall(['http://h/d/', '/mnt', ...more, '-o', options])

t.test('a line of fstab becomes a mount in the background', async t => {
  const call = parse(
    'rw,cache_dir=/c,capacity=10GiB,block_size=4K,revalidate=5s,log_level=warn,log_file=/l,uid=5,mode=0400',
  )
  t.same(call, {
    mount: {
      places: ['http://h/d/', '/mnt'],
      o: ['uid=5', 'mode=0400'],
      background: true,
      source: 'http://h/d/',
      cacheDir: '/c',
      capacity: 10 * 1024 ** 3,
      blockSize: 4096,
      revalidate: 5000,
      logLevel: 'warn',
      logFile: '/l',
    },
    fake: false,
    verbose: false,
  })
  t.match(parseHelperCall(['/srv/im ages', '/mnt']).mount, {
    places: ['file:///srv/im%20ages', '/mnt'],
    source: '/srv/im ages',
  })
  t.match(parse('config', '-v').mount, { config: 'http://h/d/', places: ['/mnt'] })
  t.match(parseHelperCall(['a', 'b', '-sfnv', '-t', 'parentfs', '-o', 'nonsense']), { fake: true, verbose: true })
})

t.test('what mount(8) and systemd own is left to them', async t => {
  const theirs =
    'rw,ro,defaults,noauto,user,nofail,_netdev,noexec,noatime,x-systemd.automount,x-y=z,X-mount.mkdir,comment=a b'
  t.same(parse(theirs).mount.o, [])
})

t.test('what is not understood is refused', async t => {
  for (const options of [
    'cachedir=/c',
    'capacity=',
    'capacity',
    'capacity=1e9',
    'block_size=x',
    'revalidate=5',
    'transport=pigeon',
    'log_level=loud',
    'mode=0644',
    'uid=root',
    'remount',
    'remount,ro',
    'config,capacity=1G',
    'config,uid=5',
    '__proto__=1',
    'toString=1',
  ]) {
    t.throws(() => parse(options), { code: 'invalid-argument' }, options)
  }
  for (const argv of [
    [],
    ['a'],
    ['a', 'b', 'c'],
    ['a', 'b', '-z'],
    ['a', 'b', '-o'],
    ['a', 'b', '-N', '/proc/1/ns/mnt'],
  ]) {
    t.throws(() => parseHelperCall(argv), { code: 'invalid-argument' }, argv.join(' '))
  }
  t.ok(helperOptionNames.every(name => /^[a-z_]+$/.test(name)))
})
