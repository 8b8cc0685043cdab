// Packs a directory as npm packs a dependency that is one, or that comes from git: with npm's own
// rules. It is part of the key of every node that packs. Argument: the file with the job, a JSON
// object:
//   dir      the directory
//   to       the tarball to be written
//   id       the package, for messages
//   scripts  whether its scripts would run
//   git      it comes from git: npm installs its dependencies first, if it has scripts
//   archive  its host serves archives, which npm takes in place of a clone
'use strict'
const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')

const job = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))

function fail (message, advice) {
  console.error(`${job.id}: ${message}; ${advice}`)
  process.exit(1)
}

const publish = 'publish it packed: to a registry, or as a tarball that the project has or a server serves'

// beforePacking lists what npm would run in the directory before it packs.
function beforePacking (pkg) {
  const scripts = pkg.scripts || {}
  const have = names => names.filter(n => scripts[n])
  if (!job.git) return have(['prepare'])
  const installs = have(['postinstall', 'build', 'preinstall', 'install', 'prepack', 'prepare'])
  if (!installs.length && !pkg.workspaces) return []
  const list = have(['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'])
  if (!scripts.install && !scripts.preinstall && pkg.gypfile !== false && fs.existsSync(path.join(job.dir, 'binding.gyp'))) list.push('install')
  if (pkg.workspaces) list.push('those of its workspaces')
  return list
}

// archiveAttributes finds a .gitattributes file that makes an archive differ from a clone.
function archiveAttributes (dir) {
  for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
    const file = path.join(dir, e.name)
    if (e.isDirectory()) {
      const found = archiveAttributes(file)
      if (found) return found
    } else if (e.isFile() && e.name === '.gitattributes' && /^[^#]*\sexport-(ignore|subst)/m.test(fs.readFileSync(file, 'utf8'))) {
      return path.relative(job.dir, file)
    }
  }
}

async function main () {
  let text
  try {
    text = fs.readFileSync(path.join(job.dir, 'package.json'), 'utf8')
  } catch (e) {
    fail('there is no package.json', 'check the reference to it')
  }
  const pkg = JSON.parse(text.replace(/^\uFEFF/, ''))
  const list = beforePacking(pkg)
  if (job.scripts && list.length) {
    fail(`it has scripts that npm runs before it packs it (${list.join(', ')}), with its development dependencies, which the lockfile doesn't have`,
      `${publish}; or leave its scripts out, if it works without`)
  }
  const bundled = pkg.bundleDependencies || pkg.bundledDependencies
  if (bundled && (bundled === true || bundled.length)) {
    fail('it bundles dependencies, which the lockfile doesn\'t have', publish)
  }
  const attributes = job.archive && archiveAttributes(job.dir)
  if (attributes) {
    fail(`npm takes an archive of it, which isn't what the commit has: ${attributes} has export-ignore or export-subst`, publish)
  }
  const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)))
  const npm = path.join(prefix, 'lib/node_modules/npm/package.json')
  if (!fs.existsSync(npm)) fail('there is no npm beside Node.js to pack it', 'use an image or a Node.js that has npm')
  const requireNPM = createRequire(npm)
  const Arborist = requireNPM('@npmcli/arborist')
  await requireNPM('pacote').tarball.file('file:' + job.dir, job.to, { Arborist, ignoreScripts: true, cache: '/tmp/npm-cache' })
}

main().catch(e => {
  console.error(`${job.id}: it can't be packed: ${e.message}`)
  process.exit(1)
})
