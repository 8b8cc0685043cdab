// Packs a directory as npm packs a dependency that is one, or that comes from git: with npm's own
// rules. It is part of the key of every node that packs. Argument: the file with the job, a JSON
// object:
//   dir      the directory
//   to       the tarball to be written
//   id       the package, for messages
//   scripts  whether its scripts would run
//   git      it comes from git: npm installs its dependencies first, if it has scripts
//   archive  its host serves archives, which npm takes in place of a clone
//   allow    how a user lets it have a network
//   prepare  it has one: its dependencies are installed and its scripts run, as npm does
//   resolved what the lockfile says where it comes from
//   config   npm's configuration for that, a list of {key, value} or {key, file}
//   shell    what runs scripts, if it isn't sh
'use strict'
const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')
const { spawnSync } = require('child_process')

const job = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))

function fail (message, advice) {
  console.error(`${job.id}: ${message}; ${advice}`)
  process.exit(1)
}

const publish = 'publish it packed: to a registry, or as a tarball that the project has or a server serves'

const have = (pkg, names) => names.filter(n => pkg.scripts && pkg.scripts[n])

// installsFirst says whether npm installs the dependencies of a package from git before it packs it.
function installsFirst (pkg) {
  return job.git && (pkg.workspaces || have(pkg, ['postinstall', 'build', 'preinstall', 'install', 'prepack', 'prepare']).length > 0)
}

// beforePacking lists what npm would run in the directory before it packs.
function beforePacking (pkg) {
  const scripts = pkg.scripts || {}
  if (!job.git) return have(pkg, ['prepare'])
  if (!installsFirst(pkg)) return []
  const list = have(pkg, ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'])
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

// configure sets npm's configuration, and tells scripts what npm ci tells them. As npm does it, the
// environment has what doesn't belong to one registry.
function configure (npm) {
  const lines = []
  for (const { key, value, file } of job.config || []) {
    if (!/^[@/]/.test(key)) {
      process.env['npm_config_' + key.replace(/-/g, '_')] = value
      continue
    }
    const text = file ? fs.readFileSync(file, 'utf8').trim() : value
    lines.push(`${key}=${JSON.stringify(text.replace(/\$\{/g, '\\${'))}\n`)
  }
  delete process.env.npm_config_ignore_scripts // who let this run decided on it
  if (job.shell) process.env.npm_config_script_shell = job.shell
  fs.mkdirSync(process.env.HOME, { recursive: true })
  fs.writeFileSync(path.join(process.env.HOME, '.npmrc'), lines.join(''), { mode: 0o600 })
  const version = JSON.parse(fs.readFileSync(path.join(npm, 'package.json'), 'utf8')).version
  Object.assign(process.env, {
    INIT_CWD: job.dir,
    NODE: process.execPath,
    npm_node_execpath: process.execPath,
    npm_execpath: path.join(npm, 'bin/npm-cli.js'),
    npm_command: 'ci',
    npm_config_npm_version: version,
    npm_config_update_notifier: 'false',
    npm_config_user_agent: `npm/${version} node/${process.version} ${process.platform} ${process.arch} workspaces/false`,
  })
}

// install runs npm as npm does it for a package from git, with the arguments that this npm has for that.
function install (pkg, fetcher) {
  const args = [fetcher.npmBin].concat(fetcher.npmInstallCmd, fetcher.npmCliConfig)
  const env = Object.assign({}, process.env, { _PACOTE_NO_PREPARE_: job.resolved })
  const r = spawnSync(process.execPath, args, { cwd: job.dir, env, stdio: ['ignore', 'inherit', 'inherit'] })
  if (r.status === 0) return
  const why = r.error ? r.error.message : r.signal ? `signal ${r.signal}` : `status ${r.status}`
  const specs = Object.values(Object.assign({}, pkg.dependencies, pkg.devDependencies, pkg.optionalDependencies))
  const git = specs.some(s => /^git|^[^@:/]+\/[^/]+$|\.git(#|$)/.test(s)) && spawnSync('git', ['--version']).error
  fail(`npm install, which prepares it, failed with ${why}`,
    (git ? 'it depends on packages from git, and there is no git command here: name an image that has one, or ' : '') + publish)
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
  const allow = job.allow && installsFirst(pkg) ? `let npm prepare it with a network (${job.allow}), or ` : ''
  if (job.scripts && list.length && !job.prepare) {
    fail(`it has scripts that npm runs before it packs it (${list.join(', ')}), with its development dependencies, which the lockfile doesn't have`,
      `${allow}${publish}; or leave its scripts out, if it works without`)
  }
  const bundles = pkg.bundleDependencies || pkg.bundledDependencies
  const bundled = bundles && (bundles === true || bundles.length > 0)
  if (bundled && !(job.prepare && installsFirst(pkg))) {
    fail('it bundles dependencies, which the lockfile doesn\'t have', allow + publish)
  }
  const attributes = job.archive && archiveAttributes(job.dir)
  if (attributes) {
    fail(`npm takes an archive of it, which isn't what the commit has: ${attributes} has export-ignore or export-subst`, publish)
  }
  const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)))
  const npm = path.join(prefix, 'lib/node_modules/npm')
  if (!fs.existsSync(path.join(npm, 'package.json'))) fail('there is no npm beside Node.js to pack it', 'use an image or a Node.js that has npm')
  const requireNPM = createRequire(path.join(npm, 'package.json'))
  const pacote = requireNPM('pacote')
  const options = { Arborist: requireNPM('@npmcli/arborist'), ignoreScripts: !job.prepare, cache: '/tmp/npm-cache/_cacache' }
  if (job.prepare) {
    options.npmBin = path.join(npm, 'bin/npm-cli.js')
    options.foregroundScripts = true
    options.scriptShell = job.shell
    configure(npm)
    if (list.length || bundled) install(pkg, new pacote.DirFetcher('file:' + job.dir, options))
  }
  await pacote.tarball.file('file:' + job.dir, job.to, options) // runs the script prepare
}

main().catch(e => {
  console.error(`${job.id}: it can't be packed: ${e.message}`)
  process.exit(1)
})
