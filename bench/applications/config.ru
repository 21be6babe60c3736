# frozen_string_literal: true

# The application for Rack servers.
NAME = "#{ENV.fetch('GENERATION', '0')}\n"

# Lines that come one after another.
Stream = Struct.new(:parts, :pause) do
  def each
    yield NAME
    parts.times do |number|
      sleep pause / 1000.0
      yield "#{number}\n"
    end
  end
end

run(lambda do |env|
  _, kind, parts, pause = env['PATH_INFO'].split('/')
  next [200, { 'Content-Type' => 'text/plain' }, Stream.new(parts.to_i, pause.to_i)] if kind == 'stream'

  body = NAME + env['rack.input'].read.to_s
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => body.bytesize.to_s }, [body]]
end)
