'use strict';
// Runs before the packages with native modules are installed (npm's `preinstall`), so it needs nothing but Node.
// It names missing build tools with their packages; it only fails where nothing could work: a Node that is too old.

const { spawnSync } = require('node:child_process');
const { readFileSync } = require('node:fs');

const NODE_FLOOR = [20, 19];

const PACKAGES = {
  debian: { install: 'sudo apt-get install -y', python: 'python3', make: 'make', compiler: 'g++' },
  alpine: { install: 'apk add', python: 'python3', make: 'make', compiler: 'g++ linux-headers' },
  fedora: { install: 'sudo dnf install -y', python: 'python3', make: 'make', compiler: 'gcc-c++' },
  arch: { install: 'sudo pacman -S', python: 'python', make: 'make', compiler: 'gcc' },
  suse: { install: 'sudo zypper install', python: 'python3', make: 'make', compiler: 'gcc-c++' },
};

const TOOLS = [
  {
    tool: 'python',
    name: 'Python 3',
    commands: [process.env.PYTHON, process.env.npm_config_python, 'python3', 'python'],
  },
  { tool: 'make', name: 'make', commands: [process.env.MAKE, 'make', 'gmake'] },
  { tool: 'compiler', name: 'a C++ compiler', commands: [process.env.CXX, 'g++', 'c++', 'clang++'] },
];

function works(command) {
  if (!command) return false;
  const result = spawnSync(command, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  if (result.error || result.status !== 0) return false;
  return !/^python2?$/.test(command) || / 3\./.test(`${result.stdout}${result.stderr}`);
}

function family() {
  if (process.platform === 'darwin') return 'macos';
  let release = '';
  try {
    release = readFileSync('/etc/os-release', 'utf8');
  } catch {
    return undefined;
  }
  const ids = [...release.matchAll(/^(?:ID|ID_LIKE)="?([^"\n]*)"?$/gm)].flatMap((match) => match[1].split(' '));
  const known = { ubuntu: 'debian', rhel: 'fedora', centos: 'fedora', opensuse: 'suse', sles: 'suse' };
  return ids.map((id) => known[id] ?? id).find((id) => Object.hasOwn(PACKAGES, id));
}

function installLine(missing) {
  const found = family();
  if (found === 'macos') return 'xcode-select --install';
  const rows = found === undefined ? Object.entries(PACKAGES).slice(0, 3) : [[found, PACKAGES[found]]];
  return rows
    .map(([name, packages]) => {
      const line = `${packages.install} ${missing.map(({ tool }) => packages[tool]).join(' ')}`;
      return found === undefined ? `${name}: ${line}` : line;
    })
    .join('\n  ');
}

function check() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor < NODE_FLOOR[1])) {
    console.error(`Holdfast needs Node ${NODE_FLOOR.join('.')} or newer, this is ${process.versions.node}.`);
    return 1;
  }
  const missing = TOOLS.filter(({ commands }) => !commands.some(works));
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ');
    console.error(`Not found: ${names}. Native modules are compiled where no prebuilt one fits; if the`);
    console.error(`installation fails, install these and run npm ci again:\n  ${installLine(missing)}`);
  }
  return 0;
}

process.exitCode = check();
