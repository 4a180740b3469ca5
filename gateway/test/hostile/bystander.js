// SPDX-License-Identifier: PostgreSQL
// bystander.js: a user who does what users do, from an address of their own, and measures how long it takes. A process of its
// own, told by hostile.js:
//
//   { place }            who they are and where: see `place` in hostile.js; answered { ready: true }
//   { measure: seconds } do it for so long; answered { samples: { kind: [ms] }, failures: { kind: [text] }, heard, cursor }
//
// Each kind of act runs at its pace whatever the others do, on a socket of its own, and is measured from when it was due: who
// waits is not spared the acts that come due meanwhile. `event` is the time from when a message was due to when the companion,
// another user, hears of it. An act without an answer in 15 s, and a message that is not heard of by then, is a failure.

import { request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { sleep, Socket, within } from '../e2e/harness.js';

const patience = 15000;
let place;
let ears; // the companion's socket
let own; // the bystander's, on which they hear what others do to them
let serial = 0;
let heard = 0; // pushes to the bystander that come from others
let replays = 0; // times that either was replayed to, or told to look
const awaited = new Map(); // client_key → what to do when the companion hears of it
const sockets = new Map(); // kind → its socket

const enter = async user => {
	const headers = user ? { Authorization: `Bearer ${user.token}` } : {};
	const socket = new Socket(place.url, headers, ['chat.v1'], { localAddress: place.address });
	await within(socket.opened, 'handshake');
	if (user)
		await socket.call('get_profile');
	return socket;
};

// Of this socket nothing is kept but what `onEvent` does with it.
function listen(socket, onEvent)
{
	socket.events.push = event => onEvent(event);
	socket.pushes.push = ([method]) => {
		if (['synced', 'resync', 'reset', 'chat_reset'].includes(method))
			replays++;
	};
	return socket;
}

const hear = async () => {
	ears = listen(await enter(place.companion), event => awaited.get(event.client_key)?.());
	own = listen(await enter(place.me), event => heard += event.client_key?.startsWith('bystander') ? 0 : 1);
};

// The socket of this kind, a new one when it was closed.
async function socketOf(kind)
{
	if (!sockets.get(kind) || sockets.get(kind).ended)
		sockets.set(kind, await enter(place.me));
	return sockets.get(kind);
}

function upload()
{
	const body = Buffer.alloc(2000, 'x');
	return new Promise((done, failed) => {
		const post = request(`${place.base}/files?name=a.txt&mime_type=text/plain`, { method: 'POST', agent: false, localAddress: place.address,
			headers: { Authorization: `Bearer ${place.me.token}`, 'Content-Length': body.length } });
		post.on('response', answer => {
			let text = '';
			answer.on('data', data => text += data).on('error', failed)
				.on('end', () => (answer.statusCode === 201 ? done() : failed(new Error(`${answer.statusCode} ${text}`))));
		}).on('error', failed);
		post.end(body);
	});
}

async function logIn()
{
	const socket = await enter();
	await socket.call('log_in', { user_name: place.me.name, password: place.me.password }).finally(() => socket.close());
}

// What they do: so often a second.
const acts = {
	send_message: { rate: 25, act: async (socket, client_key, chat_id) => socket.call('send_message', { chat_id, body: 'good morning', client_key }) },
	list_chats: { rate: 10, act: socket => socket.call('list_chats') },
	log_in: { rate: 3, act: logIn },
	upload: { rate: 2, act: () => within(upload(), 'answer to POST /files', patience) },
	change_password: { rate: 1, rare: true, act: socket => socket.call('change_password', { old_password: place.me.password, new_password: place.me.password }) }
};

async function measure(seconds, also)
{
	const samples = { event: [] };
	const failures = { event: [] };
	heard = replays = 0;
	const note = (kind, due) => () => samples[kind].push(performance.now() - due);
	const fail = kind => error => failures[kind].push(String(error.message ?? error).slice(0, 200));
	const pending = [];

	const perform = (kind, due) => {
		const { act } = acts[kind];
		const client_key = `bystander ${process.pid} ${++serial}`;
		if (kind === 'send_message')
			pending.push(within(new Promise(done => awaited.set(client_key, done)), 'an event', patience)
				.then(note('event', due), fail('event')).finally(() => awaited.delete(client_key)));
		const socket = kind === 'log_in' || kind === 'upload' ? undefined : socketOf(kind);
		pending.push(Promise.resolve(socket).then(at => act(at, client_key, place.chats[serial % place.chats.length])).then(note(kind, due), fail(kind)));
	};

	const keepOn = async kind => {
		samples[kind] = [];
		failures[kind] = [];
		const pace = 1000 / acts[kind].rate;
		const begin = performance.now() + Math.random() * pace;
		for (let i = 0; i * pace < seconds * 1000 - pace; i++)
		{
			await sleep(Math.max(0, begin + i * pace - performance.now()));
			perform(kind, begin + i * pace);
		}
	};

	if (ears.ended || own.ended)
		await hear();
	await Promise.all(Object.keys(acts).filter(kind => !acts[kind].rare || kind === also).map(keepOn));
	const spent = heard;
	await Promise.all(pending);
	if (ears.ended || own.ended)
		failures.event.push(`closed ${JSON.stringify(ears.ended ?? own.ended)}`);
	return { samples, failures, heard: spent / seconds, replays };
}

process.on('message', async message => {
	try
	{
		if (message.place)
		{
			place = message.place;
			await hear();
			for (const kind of ['send_message', 'list_chats'])
				await socketOf(kind);
			process.send({ ready: true });
		}
		else
			process.send(await measure(message.measure, message.also));
	}
	catch (error)
	{
		process.send({ broken: error.stack });
	}
});
process.on('disconnect', () => process.exit());
