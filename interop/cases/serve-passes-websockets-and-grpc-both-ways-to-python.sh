#!/usr/bin/env bash
# A WebSocket of Python's `websockets` and streams of `grpcio` pass the gateway both ways, with trailers and status; and
# a client that is revoked meanwhile loses both within a second.
# needs: python3 pypi:websockets pypi:grpcio
. "$(dirname "$0")/../lib.sh"

# Without name constraints: BoringSSL, which grpcio brings, reads none on mailboxes and URIs, and then believes nothing.
expect_success "$COUNTERSIGN" init --name "Gateway" --no-constraints
expect_success "$COUNTERSIGN" issue client alice

cat >services.py <<'X2'
import asyncio, grpc, websockets
raw = lambda octets: octets

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        async def chat(requests, context):
            who = dict(context.invocation_metadata()).get('x-client-identity', 'nobody')
            async for request in requests:
                if request == b'fail':
                    context.set_trailing_metadata((('x-sum', '7'),))
                    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'as asked')
                yield who.encode() + b': ' + request
            context.set_trailing_metadata((('x-sum', '42'),))
        return grpc.stream_stream_rpc_method_handler(chat, raw, raw)

async def main():
    async def echo(socket):
        async for message in socket:
            await socket.send(message)
    sockets = await websockets.serve(echo, '127.0.0.1', 0)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port('127.0.0.1:0')
    await server.start()
    print('ports', sockets.sockets[0].getsockname()[1], port, flush=True)
    await server.wait_for_termination()
asyncio.run(main())
X2
start_server "$INTEROP_PYTHON" services.py
wait_for_line "$SERVER_LOG" '^ports [0-9]+ [0-9]+'
read -r _ web grpc <<<"$LINE"

serve() {
    start_server "$COUNTERSIGN" serve --listen 127.0.0.1:0 --to "$1" --allow-cn alice
    wait_for_line "$SERVER_LOG" '^https://localhost:[0-9]+/'
    port=${LINE#https://localhost:}
    port=${port%%/*}
}
serve "http://127.0.0.1:$web"
web=$port
serve "h2c://127.0.0.1:$grpc"
grpc=$port

cat >client.py <<'X2'
import asyncio, grpc, os, ssl, subprocess, sys, time, websockets
web, port = sys.argv[1:3]
context = ssl.create_default_context(cafile='rootCA.pem')
context.load_cert_chain('alice.pem', 'alice-key.pem')
read = lambda name: open(name, 'rb').read()
raw = lambda octets: octets

async def main():
    credentials = grpc.ssl_channel_credentials(read('rootCA.pem'), read('alice-key.pem'), read('alice.pem'))
    async with websockets.connect(f'wss://localhost:{web}/chat', ssl=context) as socket, \
            grpc.aio.secure_channel(f'localhost:{port}', credentials) as channel:
        for message in ['hello', 'x' * 300000, b'\x00\xff' * 1000]:
            await socket.send(message)
            assert await socket.recv() == message
        chat = channel.stream_stream('/test.Echo/Chat', request_serializer=raw, response_deserializer=raw)
        call = chat()
        for word in [b'one', b'two', b'x' * 100000]:
            await call.write(word)
            answer = await call.read()
            assert answer == b'alice: ' + word, answer[:40]
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() == grpc.StatusCode.OK
        assert dict(await call.trailing_metadata())['x-sum'] == '42'
        call = chat()
        await call.write(b'fail')
        try:
            await call.read()
            raise SystemExit('no error came')
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION and error.details() == 'as asked', error
            assert dict(error.trailing_metadata())['x-sum'] == '7'
        call = chat()
        await call.write(b'three')
        assert await call.read() == b'alice: three'
        subprocess.run([os.environ['COUNTERSIGN'], 'revoke', 'alice'], check=True, stdout=subprocess.DEVNULL)
        revoked = time.monotonic()
        try:
            await asyncio.wait_for(socket.recv(), 10)
            raise SystemExit('the WebSocket said something')
        except websockets.ConnectionClosed:
            pass
        try:
            await asyncio.wait_for(call.read(), 10)
            raise SystemExit('the stream went on')
        except grpc.aio.AioRpcError:
            pass
        print(f'cut off after {time.monotonic() - revoked:.2f} s')
asyncio.run(main())
X2
expect_success "$INTEROP_PYTHON" client.py "$web" "$grpc"
say "$STDOUT"
