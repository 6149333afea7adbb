/** Checks of the host: each thing that can be wrong is a finding with a remedy. */
import t from 'tap'
import { checkHost, type HostFacts } from '../../../src/cli/commands/check-host.ts'

const limits =
  'Max open files            524288     524288     files\nMax locked memory         277000000  277000000 bytes\n'
const shared = '24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n'
const isPrivate = '24 1 8:1 / / rw,relatime - overlay overlay rw\n'
const good: HostFacts = {
  kernel: '6.12.1-amd64',
  node: 'v24.21.0',
  uid: 0,
  read: path => (path === '/proc/self/limits' ? limits : path === '/proc/self/mountinfo' ? shared : null),
  exists: path => path === '/dev/fuse' || path === '/run/chrony',
  isUsable: () => true,
  hasProgram: () => true,
  whyNoAddon: () => null,
}

t.test('a good host has nothing to be done', async t => {
  t.same(
    checkHost(null, good).filter(({ judgement, remedy }) => judgement !== 'ok' || remedy !== ''),
    [],
  )
})

t.test('each thing that is wrong is found, with a remedy', async t => {
  const cases: readonly (readonly [string, Partial<HostFacts>, string, RegExp])[] = [
    ['kernel', { kernel: '4.19.0' }, 'bad', /5\.10/],
    ['kernel', { kernel: '6.1.0-20-amd64' }, 'note', /6\.9/],
    ['FUSE', { exists: () => false }, 'bad', /modprobe fuse/],
    ['FUSE', { isUsable: () => false }, 'bad', /allow it/],
    ['rights', { uid: 1000, hasProgram: () => false }, 'bad', /fuse3/],
    ['rights', { uid: 1000 }, 'note', /user_allow_other/],
    ['propagation', { read: () => isPrivate }, 'note', /mount --make-rshared \/,/],
    ['propagation', { read: () => null }, 'note', /proc/],
    ['open files', { read: () => 'Max open files            1024     4096     files\n' }, 'note', /LimitNOFILE/],
    ['locked memory', { uid: 1000, read: () => 'Max locked memory   65536  65536 bytes\n' }, 'note', /LimitMEMLOCK/],
    ['clock', { exists: path => path === '/dev/fuse' }, 'note', /timesyncd/],
    [
      'AppArmor',
      {
        exists: () => true,
        read: path => (path.endsWith('enabled') ? 'Y\n' : path.endsWith('current') ? 'unconfined\n' : null),
      },
      'note',
      /libvirt-qemu/,
    ],
    [
      'AppArmor',
      {
        read: path =>
          path.endsWith('enabled') ? 'Y\n' : path.endsWith('current') ? 'docker-default (enforce)\n' : null,
      },
      'note',
      /that profile/,
    ],
    ['Node.js', { node: 'v18.0.0' }, 'bad', /20\.18\.1/],
    ['Node.js', { whyNoAddon: () => 'no such file' }, 'bad', /make build/],
  ]
  for (const [subject, differently, judgement, remedy] of cases) {
    const finding = checkHost(null, { ...good, ...differently }).find(each => each.subject === subject)
    t.match(finding, { judgement, remedy }, `${subject} ${remedy}`)
  }
})

t.test('propagation is that of the directory that holds the mountpoint', async t => {
  const table = `${isPrivate}60 24 8:2 / /srv rw shared:9 - ext4 /dev/sdb rw\n61 24 8:2 / /srv/a\\040b rw - ext4 /dev/sdc rw\n`
  const judged = (mountpoint: string) =>
    checkHost(mountpoint, { ...good, read: () => table }).find(({ subject }) => subject === 'propagation')
  t.match(judged('/srv/parents'), { judgement: 'ok', found: 'mounts below /srv are shared' })
  t.match(judged('/srv'), { judgement: 'ok' })
  t.match(judged('/srv/a b/parents'), { judgement: 'note', found: /below \/srv\/a b are private/ })
  t.match(judged('/srvother'), { judgement: 'note', found: /below \/ are private/ })
})
