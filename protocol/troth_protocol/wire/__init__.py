"""What travels: encoding, framing, signatures, trees and the catalogue of messages."""
